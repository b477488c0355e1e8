"""The assistant: it converses and decides, and does nothing that a person did not approve."""
