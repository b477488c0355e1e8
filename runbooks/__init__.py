"""Runbooks: what people wrote down, parsed and checked; and the typed actions they may name."""
