"""A world of its own: a simulated LLM application with faults, a loopback Slack workspace, scenarios and a referee."""
