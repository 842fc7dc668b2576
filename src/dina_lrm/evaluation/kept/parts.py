"""An evaluation kept in parts, one for each judge and set, so that it goes on where it was stopped.

A part is a JSON file with the result and an NPZ file with the margins beside it; its name is a hash of all that decides
it, pictures, labels and weights by what they hold. A part that is damaged is measured again. Nothing that was measured
is lost when another set fails.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dina_lrm.data.cache.generator_content import encoders_content
from dina_lrm.evaluation.evaluate import JudgedSet
from dina_lrm.evaluation.results import SetResult
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.rewards.contents import content_of_reward, hash_of, parts_of_tensors
from dina_lrm.runs.content import content_of
from dina_lrm.runs.files import replaced_when_complete, write_json
from dina_lrm.runs.json_files import read_record
from dina_lrm.typed import from_plain, to_plain


@dataclass(frozen=True)
class EvaluationParts:
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
            stored = read_record(_Stored, self.folder / f"{key}.json")
            if stored.sha256 != _digest(stored.result, content_of(self.folder / f"{key}.npz")):
                return None
            result = from_plain(SetResult, stored.result)
            with np.load(self.folder / f"{key}.npz", allow_pickle=False) as arrays:
                margins = arrays["margins"]
        except (ValueError, OSError, KeyError):
            return None
        return JudgedSet(result, margins)

    def save(self, key: str, judged: JudgedSet) -> None:
        """Keep a part: the margins first, so that a result is never without them."""
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        margins = self.folder / f"{key}.npz"
        with replaced_when_complete(margins) as temporary:
            np.savez_compressed(temporary, margins=judged.margins)
        result = json.loads(json.dumps(to_plain(judged.result)))  # as it will be read
        sha256 = _digest(result, content_of(margins))
        write_json(self.folder / f"{key}.json", to_plain(_Stored(result, sha256)), indent=None)


@dataclass(frozen=True)
class _Stored:
    result: dict[str, Any]
    sha256: str


def _digest(result: dict[str, Any], margins: str) -> str:
    return hashlib.sha256(f"{json.dumps(result, sort_keys=True)} {margins}".encode()).hexdigest()


def content_of_judge(model: LatentRewardModel) -> str:
    """A hash of all that a latent reward model's scores of pictures come from, its generator with it."""
    backbone = model.backbone
    config = backbone.config
    encoders = encoders_content(config.pretrained, config.revision, config.prompt_length)
    weights = parts_of_tensors(backbone, lambda name: ".lora_" not in name)
    return hash_of([content_of_reward(model).encode(), encoders.encode(), *weights])
