"""What is remembered: runbooks and closed incidents, found again by meaning and by word."""
