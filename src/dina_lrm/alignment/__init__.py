"""Aligning a generator with rewards, and watching whether the gain is real."""
