"""A reward over HTTP, in the formats that trainers already send.

Protocols know bytes and nothing of models; the batcher knows items and nothing of HTTP; the engine owns the models.
"""
