"""Votes of people as they were given, in one SQLite file that loses none: what a comparison file keeps no room for.

| noun | place |
|---|---|
| a picture, a pair, a vote, a question, and how a collection asks | `records.py` |
| the tables of the file, their version, what is refused | `schema.py` |
| how statements fail, in the library's own errors | `database.py` |
| pictures by content, pairs by what they are about, rows of votes | `pictures.py`, `pairs.py`, `rows.py` |
| what a vote weighs, and what the votes on a pair come to | `trust.py`, `shares.py` |
| the store: add pairs, record votes, take them back, read them | `store.py` |
"""

from dina_lrm.data.votes.records import (
    Added,
    Annotator,
    CollectionSettings,
    NewPair,
    NewVote,
    Pair,
    Question,
    Recorded,
    Vote,
)
from dina_lrm.data.votes.store import VoteStore

__all__ = [
    "Added",
    "Annotator",
    "CollectionSettings",
    "NewPair",
    "NewVote",
    "Pair",
    "Question",
    "Recorded",
    "Vote",
    "VoteStore",
]
