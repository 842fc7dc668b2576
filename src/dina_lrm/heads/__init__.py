"""Heads: the features of a backbone become one scalar score."""
