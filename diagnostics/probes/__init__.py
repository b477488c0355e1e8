"""The probes, one family a file. A probe reads named targets and reports one outcome from its closed list."""
