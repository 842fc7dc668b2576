"""Caches that lie at an address: their tables and shards are copied to this machine when they are first needed."""
