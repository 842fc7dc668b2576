"""Putting on the Hugging Face Hub what this program made, and nothing else.

| noun | place |
|---|---|
| which files of a folder are the program's, and which are left out | `contents.py` |
| the repository, the card as it stands there, the upload | `push.py` |
"""
