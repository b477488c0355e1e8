"""Diagnosis: probes that only read, statistics with power, and the differential that turns findings into causes."""
