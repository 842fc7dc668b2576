"""Votes of people on pictures: which two are shown, what is saved, and the page that asks.

| noun | place |
|---|---|
| whose votes are collected on what, and where they go | `settings.py` |
| which two pictures come next | `pairs.py` |
| the file of votes of this page; the store that a collection has | `ballots.py`; `data/votes/` |
| a person's session: pictures, the pair that is shown, votes | `session.py` |
| the page in a browser | `server.py`, `requests.py`, `page.py` |
"""
