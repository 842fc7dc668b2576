"""An evaluation kept in parts, one for each judge and set, so that it goes on where it was stopped.

A part is a JSON file with the result and an NPZ file with the margins beside it; its name is a hash of all that decides
it. Nothing that was measured is lost when another set fails.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dina_lrm.evaluation.evaluate import JudgedSet
from dina_lrm.evaluation.results import SetResult
from dina_lrm.runs.files import replaced_when_complete
from dina_lrm.typed import from_plain, to_plain


@dataclass(frozen=True)
class Parts:
    """The folder of the parts of an evaluation; None keeps nothing."""

    folder: Path | None

    def key(self, **decides: Any) -> str:  # noqa: ANN401 - plain values of any kind
        """The name of a part from all that decides it, as plain values."""
        text = json.dumps(to_plain(decides), sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:24]

    def load(self, key: str) -> JudgedSet | None:
        """The part of that key, None when it is not there or was written by another version."""
        if self.folder is None or not (self.folder / f"{key}.json").is_file():
            return None
        try:
            result = from_plain(SetResult, json.loads((self.folder / f"{key}.json").read_text(encoding="utf-8")))
            with np.load(self.folder / f"{key}.npz") as stored:
                return JudgedSet(result, stored["margins"])
        except (ValueError, OSError, KeyError):
            return None

    def save(self, key: str, judged: JudgedSet) -> None:
        """Keep a part: the margins first, so that a result is never without them."""
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with replaced_when_complete(self.folder / f"{key}.npz") as temporary:
            np.savez_compressed(temporary, margins=judged.margins)
        with replaced_when_complete(self.folder / f"{key}.json") as temporary:
            temporary.write_text(json.dumps(to_plain(judged.result), allow_nan=False), encoding="utf-8")
