"""Am I being hacked: two sides of pictures by every judge at hand, as plain functions.

| noun | place |
|---|---|
| both sides measured, wherever they come from | `sides.py` |
| two folders; a generator and what it was tuned to | `of_folders.py`, `of_generators.py` |
| changes that over-optimised generators give themselves away by | `symptoms.py` |
| the pictures that an optimised judge likes alone | `suspicious.py` |
| one verdict with its evidence | `verdict.py` |
| all of it as a page | `finding.py`, `shown.py` |
"""
