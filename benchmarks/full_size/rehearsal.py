"""Memory of `prepare`, `score` and a step of training at full size: `python -m benchmarks full_size rehearsal`.

    python -m benchmarks full_size rehearsal prepare score train --generator FOLDER [--work FOLDER] [--json FILE] \
        [--pictures 12] [--resolution 512] [--options "--dtype bfloat16"]

The generator is a folder of `full_size pipeline`. Each job is the command itself, in a process of its own. Pictures are
random, every two of them have a prompt of their own. What is told of memory: resident (VmHWM), of that anonymous at its
highest, and mapped pages of files at theirs. The code that runs is the one on PYTHONPATH.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.full_size.processes import Watched, watched

WORDS = ("a", "the", "red", "green", "blue", "cube", "ball", "small", "large", "on", "left", "of", "table")
JOBS = ("prepare", "score", "train")
_MODEL = """
import sys, torch
from dina_lrm.backbones.settings import BackboneConfig
from dina_lrm.reward_model.config import RewardModelConfig
from dina_lrm.reward_model.model import LatentRewardModel
taps = (4, 8, 12)
backbone = BackboneConfig("sd3", sys.argv[1], 12, visual_taps=taps, text_taps=taps, prompt_length=128)
model = LatentRewardModel.build(RewardModelConfig(backbone, resolution=int(sys.argv[3])), dtype=torch.bfloat16)
model.save_pretrained(sys.argv[2])
"""


def pictures(folder: Path, count: int, side: int, seed: int = 0) -> tuple[Path, Path]:
    """So many pictures, a table of them with prompts, and one of comparisons of every two."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(seed)
    rows, pairs = [], []
    for number in range(count):
        # Blocks of 16 pixels: a picture of noise alone would take megabytes
        blocks = draw.integers(0, 256, (side // 16, side // 16, 3), dtype=np.uint8)
        file = folder / f"{number:05}.png"
        Image.fromarray(blocks).resize((side, side), Image.Resampling.NEAREST).save(file)
        rows.append({"image": file.name, "prompt": rows[-1]["prompt"] if number % 2 else _prompt(draw)})
    for first, second in zip(rows[::2], rows[1::2], strict=True):
        pair = {"image_a": first["image"], "image_b": second["image"], "prompt": first["prompt"]}
        pairs.append({**pair, "preference": 1.0})
    return _table(folder / "pictures.jsonl", rows), _table(folder / "pairs.jsonl", pairs)


def _prompt(draw: np.random.Generator) -> str:
    return " ".join(draw.choice(WORDS, size=int(draw.integers(5, 60))))


def _table(file: Path, rows: Sequence[dict[str, object]]) -> Path:
    file.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return file


def words_of(job: str, given: argparse.Namespace, work: Path) -> list[str]:
    """The command of a job, which finds in `work` what it needs."""
    table, pairs = pictures(work / "pictures", given.pictures, given.resolution)
    side, program = str(given.resolution), [sys.executable, "-m", "dina_lrm"]
    match job:
        case "prepare":
            made = ["--backbone", str(given.generator), "--out", str(work / "cache"), "--resolution", side]
            return [*program, "prepare", str(pairs), *made]
        case "score":
            if not (work / "model").exists():
                watched([sys.executable, "-c", _MODEL, str(given.generator), str(work / "model"), side])
            return [*program, "score", "--images", str(table), "--model", str(work / "model"), "--out", _scores(work)]
        case _:
            model = ["--model.pretrained", str(given.generator), "--model.resolution", side]
            short = ["--steps", "1", "--data", str(work / "cache"), "--out", str(work / "run")]
            return [*program, "train", "paper-sd35m", *model, *short]


def _scores(work: Path) -> str:
    file = work / "scores.jsonl"
    for old in work.glob(f"{file.name}*"):
        old.unlink()
    return str(file)


def rehearsed(job: str, given: argparse.Namespace, work: Path) -> Watched:
    """One job."""
    words = [*words_of(job, given, work), *shlex.split(given.options), "--quiet"]
    return watched(words, {"OMP_NUM_THREADS": str(given.threads), "DINA_LRM_NO_TYPECHECK": "1"})


def main(argv: Sequence[str]) -> None:
    """Run the jobs, one after the other, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("jobs", nargs="+", choices=JOBS)
    parser.add_argument("--generator", type=Path, required=True)
    parser.add_argument("--work", type=Path, help="kept; by default a folder that goes")
    parser.add_argument("--pictures", type=int, default=12)
    parser.add_argument("--resolution", type=int, default=512)
    parser.add_argument("--options", default="", help="more words for the command")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as temporary:
        work = given.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        rows = [{"job": job, **rehearsed(job, given, work).row()} for job in given.jobs]
    for row in rows:
        print(json.dumps(row), flush=True)
    if given.json is not None:
        given.json.write_text(json.dumps(rows, indent=2) + "\n")
