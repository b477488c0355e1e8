"""The edges: everything that talks to the outside, one vendor a file."""
