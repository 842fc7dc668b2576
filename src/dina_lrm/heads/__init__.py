"""Heads: the features of a backbone become one score, or several by name."""
