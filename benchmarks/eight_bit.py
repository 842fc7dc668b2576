"""What linear layers in 8 bits do to scores: `python -m benchmarks.eight_bit [--pairs N] [--json FILE]`.

The bundled reward model scores pairs of the bundled world as it is, and with the linear layers of its blocks in int8
and in float8 (emulated where the device does not multiply it: the same rounding). Said are the accuracy of each, the
difference to the exact one over the same pairs with a 95 % interval (normal, over pairs:
each has a prompt of its own), the pairs that are ranked the other way round, and how far scores move beside
their spread.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.synthetic.comparisons import sample_comparisons
from dina_lrm.synthetic.encoding import encode

KINDS = ("full", "int8", "float8")


def main(arguments: Sequence[str] | None = None) -> dict[str, object]:
    """Run, print, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(arguments)
    scores = {kind: _scores(kind, given.pairs, given.seed) for kind in KINDS}
    exact, preference = scores["full"]
    decided = preference != 0.5
    print(f"{int(decided.sum())} decided pairs, seed {given.seed}")
    rows = {kind: _row(found, exact, preference, decided) for kind, (found, _) in scores.items()}
    for kind, row in rows.items():
        print(f"  {kind:<7} " + "  ".join(f"{name} {value:.4f}" for name, value in row.items()))
    if given.json is not None:
        given.json.write_text(json.dumps(rows, indent=2) + "\n")
    return {"pairs": int(decided.sum()), "rows": rows}


def _scores(kind: str, pairs: int, seed: int) -> tuple[Tensor, Tensor]:
    """Scores of both sides, (pairs, 2), and the preferences."""
    model = LatentRewardModel.from_pretrained("synthetic", dtype=torch.float32)
    data = encode(sample_comparisons(pairs, 2, seed=seed, source="pairs"), model.backbone)
    if kind != "full":
        model.backbone.multiply_in(kind)
    sides, preference = [], []
    for rows in torch.arange(len(data)).split(100):
        batch = data.batch(rows)
        (images,) = batch.images
        found = model.score_latents(images.latents, images.conditioning)
        sides.append(torch.stack([found[batch.first], found[batch.second]], dim=1))
        preference.append(batch.preference)
    return torch.cat(sides), torch.cat(preference)


def _row(found: Tensor, exact: Tensor, preference: Tensor, decided: Tensor) -> dict[str, float]:
    def right(scores: Tensor) -> Tensor:
        return (((scores[:, 0] > scores[:, 1]) == (preference > 0.5))[decided]).double()

    change = right(found) - right(exact)
    half = 1.96 * float(change.std()) / len(change) ** 0.5
    return {
        "accuracy": float(right(found).mean()),
        "difference": float(change.mean()),
        "low": float(change.mean()) - half,
        "high": float(change.mean()) + half,
        "turned round": float((change != 0).double().mean()),
        "largest move": float((found - exact).abs().max()),
        "spread": float(exact.std()),
    }


if __name__ == "__main__":
    main()
