"""The domain: frozen data and plain functions."""
