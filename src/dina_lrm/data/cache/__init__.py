"""Comparisons encoded once: what training reads, and the folder that it lies in."""
