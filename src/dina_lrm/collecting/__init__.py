"""Votes of people on pictures: which two are shown, what is saved, and the page that asks.

| noun | place |
|---|---|
| whose votes are collected on what, and where they go | `settings.py` |
| the pairs of a folder, two folders, a table, a run, a generator | `candidates/` |
| people who are asked, on a page, into a store of votes (`data.votes`) | `asking/` |
| how far people agree; what each of them is like | `agreement/`, `vote_models/` |
| which pair to ask next | `choice/` |
| votes from and for other programs | `exchange/` |
"""
