"""The bundled judge of pixels: a convolutional network on comparisons of the synthetic world, and its card."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from dina_lrm.runs.files import save_tensors, write_json, write_text
from dina_lrm.runs.lock import held_folder
from dina_lrm.runs.ownership import check_replaceable, made_folder
from dina_lrm.synthetic.comparisons import in_domain, training_comparisons, unseen_compositions, unseen_defects
from dina_lrm.synthetic.pixel_judges import WEIGHTS, score_pictures, train_pixel_judge

_IMAGES: Final = 8
KIND: Final = "judge"
"""What the marker of its folder says."""
_START: Final = 1
"""Decides the first weights, and the order of the prompts."""
_SETS: Final = {"in domain": in_domain, "unseen compositions": unseen_compositions, "unseen defects": unseen_defects}


def train_judge(
    folder: Path, prompts: int, steps: int, seed: int, pairs: int, report: Callable[[int, int], None]
) -> dict[str, Any]:
    """Train on the pairs of `seed`, write weights (bf16), facts.json and README.md as `folder`; returns the facts.

    Raises NotReplaceableError, before anything is trained, for a folder that holds anything but an earlier judge, and
    BusyError where another process works in it.
    """
    with held_folder(folder):
        check_replaceable(folder, KIND)
        data = training_comparisons(prompts, _IMAGES, seed)
        model = train_pixel_judge("cnn", data, steps, _START, report=report)
        tensors = {name: tensor.to(torch.bfloat16) for name, tensor in model.state_dict().items()}
        # What is measured is what was stored
        model.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
        facts = {"prompts": prompts, "steps": steps, "seed": seed, "pairs": pairs, "sets": _measured(model, pairs)}
        with made_folder(folder, KIND) as made:
            save_tensors(made / WEIGHTS, tensors)
            write_json(made / "facts.json", facts)
            write_text(made / "README.md", judge_card(facts))
    return facts


def _measured(model: nn.Module, pairs: int) -> dict[str, dict[str, float]]:
    sets = {}
    for name, make in _SETS.items():
        test = make(pairs)
        scores = score_pictures(model, test)
        right = np.sign(scores[test.pairs[:, 0]] - scores[test.pairs[:, 1]]) == np.sign(test.preference - 0.5)
        sets[name] = {"accuracy": float(right.mean()), "ceiling": test.ceiling}
    return sets


def judge_card(facts: dict[str, Any]) -> str:
    """The card in Markdown."""
    rows = "\n".join(
        f"| {name} | {100 * one['accuracy']:.1f} | {100 * one['ceiling']:.1f} |" for name, one in facts["sets"].items()
    )
    command = f"--prompts {facts['prompts']} --steps {facts['steps']} --seed {facts['seed']}"
    return f"""---
license: apache-2.0
---
# A judge of pixels for the synthetic world

A convolutional network that scores 32 x 32 pictures for their captions, trained from nothing on the comparisons of
{facts["prompts"]:,} prompts, {facts["steps"]:,} steps. It shares neither weights nor training pictures with the bundled
latent reward model, so that it may be the golden judge of an alignment run, or a pixel reward beside it.

| {facts["pairs"]:,} pairs | accuracy, % | Bayes ceiling, % |
|---|---|---|
{rows}

Command: `dina-lrm synthetic judge {command} --out FOLDER`
"""
