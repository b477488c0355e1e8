"""A loopback Slack workspace: real HTTP and WebSocket for Bolt and slack_sdk, and a page for people."""
