"""Interfaces of trainers, written by us as far as a plug-in sees them: signatures, shapes, what happens on an error.

The packages `flow_factory` and `unirl` stand in for those of the same name, which cannot be installed.
"""
