"""A folder for the datasets library: Parquet with the pictures in it, and a card."""

from __future__ import annotations

from pathlib import Path

from dina_lrm.cards.data_sets import DataSet, comparisons_card
from dina_lrm.collecting.exchange.comparisons import write as write_shares
from dina_lrm.data.sources import read_comparisons
from dina_lrm.data.sources.counting import Counted
from dina_lrm.data.votes.shares import Shares
from dina_lrm.data.votes.store import VoteStore
from dina_lrm.runs.files import folder_replaced_when_complete, write_text

TABLE = "comparisons.parquet"


def write(store: VoteStore, question: str, folder: Path, weights: str = "trust") -> Shares:
    """Write the folder, which appears when it is complete; returns what came of all votes."""
    with folder_replaced_when_complete(folder) as aside:
        found = write_shares(store, question, aside / TABLE, weights)
        counted = Counted(read_comparisons(aside / TABLE))
        for _ in counted:
            pass
        asked = next((one.text for one in store.settings.questions if one.id == question), question)
        about = f"What people answered to “{asked}” about pairs of pictures: {found.told()}."
        people = {"annotators": len(store.annotators()), "votes": found.used}
        of = DataSet(folder.name, about, {**people, **counted.facts()})
        write_text(aside / "README.md", comparisons_card(of, TABLE, counted.columns))
    return found
