"""Votes from and for other programs, a file for each format; what is not taken over is counted by reason.

| noun | place |
|---|---|
| a vote as another program wrote it, and how it comes into a store | `given.py` |
| pictures as files that another program finds | `files.py` |
| Label Studio's JSON | `label_studio.py` |
| Argilla's records | `argilla.py` |
| tables of arenas, by a map of columns | `arena.py` |
| our own comparison files: votes of a page, and what a store comes to | `comparisons.py`, `folder.py` |
| the formats by name | `formats.py` |
"""
