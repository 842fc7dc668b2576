"""Small pictures that differ, and stores of pairs of them."""

import io

import numpy as np
from PIL import Image

from dina_lrm.data.votes import CollectionSettings, NewPair, NewVote, VoteStore


def png(number, side=16):
    """The bytes of a picture that differs from those of other numbers."""
    pixels = np.random.default_rng(number).integers(0, 256, (side, side, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def pictures(folder, count):
    """Files of so many pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (folder / f"{number}.png").write_bytes(png(number))
    return [folder / f"{number}.png" for number in range(count)]


def store_of(path, pairs=4, **settings):
    """A new store with so many pairs, whose pictures are within it."""
    store = VoteStore.open(path, CollectionSettings(**settings))
    new = [NewPair(f"prompt {number}", png(2 * number), png(2 * number + 1)) for number in range(pairs)]
    assert len(store.add_pairs(new, inside=True).new) == pairs
    return store


def said(pair, annotator, answer, client, **more):
    """A vote with the left picture a, unless it is said otherwise."""
    return NewVote(pair, annotator, answer, **{"left": "a", "client_id": str(client)} | more)
