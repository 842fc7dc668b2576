"""The page on which people vote: the parts that a server sends, and the same page as one file without a server.

| noun | place |
|---|---|
| HTML, CSS and scripts by hand | `page/` |
| the parts as they are sent | `documents.py` |
| the page as one file | `alone.py` |
| pairs of two generators, or of whatever else, as such a file | `blind_vote.py` of `reports` |
"""
