"""The tables of a file of votes, and what is refused as none.

Votes are only ever added: a correction is a new row that names the one whose place it takes, and taking back is a row
with the answer "undo". A picture is known by its content; it lies where its path says, relative to the folder of the
file, or within the file.
"""

from __future__ import annotations

from typing import Final

APPLICATION: Final = 0x44694E56
"""Marks the file as ours in its head ("DiNV")."""
VERSION: Final = 1

TABLES: Final = (
    "CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE picture (
        content TEXT PRIMARY KEY, path, bytes BLOB, width INTEGER NOT NULL, height INTEGER NOT NULL,
        CHECK ((path IS NULL) <> (bytes IS NULL)))""",
    """CREATE TABLE pair (
        number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, prompt TEXT NOT NULL,
        image_a TEXT NOT NULL REFERENCES picture, image_b TEXT NOT NULL REFERENCES picture,
        kind TEXT NOT NULL CHECK (kind IN ('task', 'control', 'repeat')),
        truth TEXT CHECK (truth IN ('a', 'b')), repeats TEXT REFERENCES pair (id),
        source TEXT, chosen_by TEXT, eig REAL, at REAL NOT NULL,
        CHECK (image_a <> image_b), CHECK ((truth IS NOT NULL) = (kind = 'control')),
        CHECK ((repeats IS NOT NULL) = (kind = 'repeat')))""",
    """CREATE TABLE annotator (
        id INTEGER PRIMARY KEY AUTOINCREMENT, salt_hash TEXT NOT NULL UNIQUE, joined REAL NOT NULL)""",
    """CREATE TABLE vote (
        id INTEGER PRIMARY KEY AUTOINCREMENT, pair TEXT NOT NULL REFERENCES pair (id),
        annotator INTEGER NOT NULL REFERENCES annotator, question TEXT NOT NULL,
        answer TEXT NOT NULL CHECK (answer IN ('a', 'b', 'tie', 'both_bad', 'skip', 'undo')),
        side_shown TEXT NOT NULL CHECK (side_shown IN ('a', 'b')),
        ms INTEGER, at REAL NOT NULL, screen TEXT, reason TEXT,
        client_id TEXT NOT NULL UNIQUE, corrects INTEGER REFERENCES vote)""",
    "CREATE INDEX vote_of_pair ON vote (pair, annotator, question)",
    "CREATE INDEX vote_of_annotator ON vote (annotator, id)",
    "CREATE TRIGGER votes_stay BEFORE UPDATE ON vote BEGIN SELECT RAISE(ABORT, 'votes are never changed'); END",
    "CREATE TRIGGER votes_remain BEFORE DELETE ON vote BEGIN SELECT RAISE(ABORT, 'votes are never removed'); END",
)
"""`side_shown` is the picture that stood on the left."""
