"""What a generator learns from pairs of people: simulated votes on its own samples, and the truth before and after.

The bundled uncurated generator draws two pictures of each prompt; an annotator (`--taste`, of `PERSONALITIES`) says
once which is better; `align dpo --pairs` learns from the file of the pairs. Printed for each seed: the true utility
and the annotator's own, before and after, on prompts that no pair has, with 95 % intervals by a bootstrap over prompts;
over the seeds the mean gain, with an interval that draws seeds and prompts. `--picture FILE` shows before and after.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image

from dina_lrm.alignment.job import AlignmentJob
from dina_lrm.alignment.monitor.looks import SAMPLES
from dina_lrm.alignment.pairs.source import PairSource
from dina_lrm.alignment.prompts import held_beside_pairs
from dina_lrm.data.comparison import Comparison
from dina_lrm.data.sources import write_comparisons
from dina_lrm.generators.load import loaded_generator
from dina_lrm.recipes.alignment import DPO_RECIPES
from dina_lrm.reports.gallery import gallery, save_gallery
from dina_lrm.synthetic.captions import distinct_captions, true_parts
from dina_lrm.synthetic.utility import PERSONALITIES

_DRAWS = 2_000
_SHOWN = 6


@dataclass(frozen=True)
class _Looks:
    """Parts of the utility of the same prompts and noise, before and after: (prompts, 2) each."""

    before: np.ndarray
    after: np.ndarray
    seconds: float

    def gains(self, taste: str) -> np.ndarray:
        """What each prompt's picture gained in the eyes of an annotator."""
        person = PERSONALITIES[taste]
        return person.utility(self.after) - person.utility(self.before)


def main(words: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("pairs", 500), ("looks", 96), ("steps", 75), ("seeds", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--taste", choices=sorted(PERSONALITIES), default="aesthete")
    parser.add_argument("--kind", choices=("dpo", "ipo", "kto"), default="dpo")
    parser.add_argument("--beta", type=float, default=2000.0)
    parser.add_argument("--lr", type=float, default=1e-3)
    for name in ("picture", "json"):
        parser.add_argument(f"--{name}", type=Path)
    options = parser.parse_args(words)
    rows = []
    for seed in range(options.seeds):
        with TemporaryDirectory() as place:
            looks = _aligned(options, seed, Path(place))
        rows.append(looks)
        told = ", ".join(f"{taste} {_told(looks.gains(taste))}" for taste in dict.fromkeys(("balanced", options.taste)))
        print(
            f"seed {seed}: {options.kind} on {options.pairs} pairs, {looks.seconds:.0f} s of processor: {told}",
            flush=True,
        )
    over = {taste: _over(rows, taste) for taste in dict.fromkeys(("balanced", options.taste))}
    for taste, (mean, low, high) in over.items():
        print(f"{options.seeds} seeds, gain in the eyes of {taste}: {mean:+.3f} ({low:+.3f} to {high:+.3f})")
    if options.json:
        options.json.write_text(json.dumps({taste: list(found) for taste, found in over.items()}))


def _aligned(options: argparse.Namespace, seed: int, folder: Path) -> _Looks:
    start = time.process_time()
    shown = distinct_captions(np.random.default_rng([0, 7]), options.looks)
    file = folder / "pairs.jsonl"
    write_comparisons(file, _votes(options, seed, folder / "pictures", set(shown)))
    config = DPO_RECIPES["synthetic"]()
    looks = replace(config.looks, prompts=len(shown), images=1, every=max(1, options.steps // 5))
    settings = replace(config.dpo, kind=options.kind, beta=options.beta)
    config = replace(config, seed=seed, steps=options.steps, lr=options.lr, looks=looks, dpo=settings)
    source = PairSource(str(file))
    (folder / "looks.txt").write_text("\n".join(shown) + "\n")
    held = held_beside_pairs(source.prompts(), None, str(folder / "looks.txt"), len(shown))
    AlignmentJob(config, held, folder / "run", pairs=source).run(say=print)
    found = []
    for step in (0, options.steps):
        with np.load(folder / "run" / SAMPLES / f"step-{step}.npz") as stored:
            found.append(stored["images"])
    if options.picture and seed == 0:
        rows = slice(0, _SHOWN)
        save_gallery(gallery({"before": found[0][rows], "after": found[1][rows]}, shown[rows]), options.picture)
    print((folder / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    return _Looks(*(true_parts(images, shown) for images in found), time.process_time() - start)


def _votes(options: argparse.Namespace, seed: int, folder: Path, shown: set[str]) -> list[Comparison]:
    """Two samples of each prompt, and which the annotator prefers: one vote, drawn from its own doubt."""
    config, rng = DPO_RECIPES["synthetic"](), np.random.default_rng([seed, 23])
    drawn = distinct_captions(rng, options.pairs + len(shown))
    prompts = [prompt for prompt in drawn if prompt not in shown][: options.pairs]
    captions = [prompt for prompt in prompts for _ in range(2)]
    generator = loaded_generator(config.generator, "cpu", seed)
    levels, images = generator.levels(config.generator.sampling_steps), []
    for start in range(0, len(captions), 100):
        some = captions[start : start + 100]
        noise = generator.noise((rng.integers(2**62, size=len(some))).tolist())
        with torch.no_grad():
            images.append(generator.pictures(generator.denoise(noise, generator.encode_prompts(some), levels)))
    seen = np.concatenate(images)
    parts = true_parts(seen, captions)
    preferred = rng.random(len(prompts)) < PERSONALITIES[options.taste].probability(parts[0::2], parts[1::2])
    folder.mkdir()
    paths = [folder / f"{number}.png" for number in range(len(captions))]
    for path, image in zip(paths, seen, strict=True):
        Image.fromarray(image).save(path)
    return [Comparison(prompt, paths[2 * n], paths[2 * n + 1], float(preferred[n])) for n, prompt in enumerate(prompts)]


def _told(gains: np.ndarray) -> str:
    rng = np.random.default_rng(0)
    means = [gains[rng.integers(len(gains), size=len(gains))].mean() for _ in range(_DRAWS)]
    low, high = np.percentile(means, [2.5, 97.5])
    return f"{gains.mean():+.3f} ({low:+.3f} to {high:+.3f})"


def _over(rows: list[_Looks], taste: str) -> tuple[float, float, float]:
    """The mean gain over seeds, with an interval that draws seeds and prompts."""
    gains, rng = np.stack([looks.gains(taste) for looks in rows]), np.random.default_rng(0)
    seeds, prompts = gains.shape
    means = [
        gains[np.ix_(rng.integers(seeds, size=seeds), rng.integers(prompts, size=prompts))].mean()
        for _ in range(_DRAWS)
    ]
    return float(gains.mean()), *(float(each) for each in np.percentile(means, [2.5, 97.5]))


if __name__ == "__main__":
    main()
