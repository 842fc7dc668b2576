"""Turn a trained reward model of the synthetic world into the one inside the package.

    dina-lrm train synthetic-long --data synthetic --synthetic-prompts 36000 --out runs/long --compute.compile
    python scripts/bundle_reward_model.py runs/long/model

Weights are stored in float16 to keep the package small; what is measured, and written into the model card, is the
model after that rounding. The golden scores of `dina-lrm doctor` are made anew.
"""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from dina_lrm.evaluation.evaluate import evaluate
from dina_lrm.evaluation.results import EvaluationResult
from dina_lrm.evaluation.synthetic import synthetic_sets
from dina_lrm.evaluation.temperature import model_temperature
from dina_lrm.locate import BUNDLED
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.synthetic.draws import Draw, Flaw, draw_mismatch, render_draws
from dina_lrm.synthetic.scene import realise, sample_prompt, seen
from dina_lrm.synthetic.sets import VALIDATION

LEVELS = (0.1, 0.2, 0.4)


def main() -> None:
    """Round, measure, write the card, make golden scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    target = BUNDLED["synthetic"]["reward_model"]
    source = parser.parse_args().model
    model = LatentRewardModel.from_pretrained(source, device="cpu", trainable=True)
    rounded = target.with_name("reward_model.rounding")
    shutil.rmtree(rounded, ignore_errors=True)
    model.save_pretrained(rounded)
    halve(rounded)
    model.config = replace(
        model.config, temperature=temperature(LatentRewardModel.from_pretrained(rounded, device="cpu"))
    )
    shutil.rmtree(rounded)
    model.save_pretrained(rounded)
    halve(rounded)
    measured = measure(LatentRewardModel.from_pretrained(rounded, device="cpu"))
    model.config = replace(model.config, notes={**model.config.notes, "results": rows(measured)})
    shutil.rmtree(rounded)
    shutil.rmtree(target, ignore_errors=True)
    model.save_pretrained(target)
    halve(target)
    (target / "evaluation.json").write_text(json.dumps(measured.to_dict()) + "\n")
    golden(target.parent)


def halve(folder: Path) -> None:
    """Store every tensor of the folder in float16."""
    for path in folder.rglob("*.safetensors"):
        save_file({name: tensor.half() for name, tensor in load_file(path).items()}, path)


def temperature(model: LatentRewardModel) -> float:
    """Fitted on held-out pairs of the training distribution, which no test set shares."""
    return model_temperature(model, synthetic_sets(model.backbone, (VALIDATION,), pairs=6_000)[VALIDATION].encoded)


def measure(model: LatentRewardModel) -> EvaluationResult:
    """Every test set at several levels and with the ensemble."""
    sets = synthetic_sets(model.backbone)
    ensembles = (model.config.ensemble_levels,)
    return evaluate(
        model, sets, LEVELS, ensembles, batch_size=32, name="synthetic", command="python scripts/bundle_reward_model.py"
    )


def rows(result: EvaluationResult) -> list[dict[str, object]]:
    """The measured table of the model card: the model's own level and the ensemble on each set."""
    found: list[dict[str, object]] = []
    for measured in result.tests:
        readings = [result.reference, *(r.reading for r in measured.readings if r.reading.is_ensemble)]
        for reading in readings:
            accuracy = measured.at(reading).accuracy
            found.append(
                {
                    "set": measured.name,
                    "read at": reading.name,
                    "accuracy": accuracy.accuracy,
                    "low": accuracy.low,
                    "high": accuracy.high,
                    "ceiling": measured.ceiling,
                    "pairs": accuracy.pairs,
                }
            )
    return found


def golden(folder: Path) -> None:
    """Two pairs and their scores: a perfect picture against a wrong colour, and against a blurred one."""
    rng = np.random.default_rng(11)
    pictures = folder / "golden"
    pictures.mkdir(exist_ok=True)
    prompts, names = [], []
    for number, kind in enumerate(("wrong colour", "blur")):
        prompt = sample_prompt(rng, seen)
        worse = draw_mismatch(prompt, kind, rng) if kind == "wrong colour" else realise(prompt, rng)
        assert worse is not None
        draws = [Draw(prompt, realise(prompt, rng)), Draw(prompt, worse, (Flaw(kind),))]
        for side, image in zip("ab", render_draws(draws, rng), strict=True):
            name = f"golden/{number}{side}.png"
            Image.fromarray(image).save(folder / name)
            names.append(name)
            prompts.append(prompt.caption())
    model = LatentRewardModel.from_pretrained("synthetic", device="cpu", dtype=torch.float32)
    scores = [float(score) for score in model.score([folder / name for name in names], prompts)]
    content = {"prompts": prompts, "images": names, "scores": scores, "tolerance": 1e-3}
    (folder / "golden.json").write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
