"""The investigation as a graph: retrieve, probe, diagnose, propose."""
