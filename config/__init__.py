"""What is declared: settings, the catalogue of services and teams, and the policy of who may approve what."""
