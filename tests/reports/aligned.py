"""The folder of an alignment run, as far as its report reads it: looks, records and settings; no model."""

import json
from pathlib import Path

import numpy as np

from dina_lrm.alignment.monitor.looks import PROXY, SAMPLES
from dina_lrm.alignment.monitor.records import Record, summarise, write_records
from dina_lrm.recipes.alignment import refl_synthetic

PROMPTS = [f"a photograph of harbour number {number}, seen from above" for number in range(12)]


def aligned_folder(folder: Path, golden: float = 0.5, prompts: list[str] = PROMPTS, paired: bool = True) -> Path:
    """Four looks in which the reward rises by 1 each, and the golden judge by `golden`; `paired` keeps all scores."""
    rng = np.random.default_rng(0)
    noise = rng.normal(scale=0.1, size=(4, 2, len(prompts)))
    levels = rng.normal(scale=2.0, size=len(prompts))  # prompts are liked differently, which pictures of one share
    (folder / SAMPLES).mkdir(parents=True)
    records = []
    for look, step in enumerate((0, 10, 20, 30)):
        images = rng.integers(0, 256, (len(prompts), 32, 32, 3), dtype=np.uint8)
        np.savez_compressed(folder / SAMPLES / f"step-{step}.npz", images=images, prompts=np.array(prompts))
        values = {PROXY: look + noise[look, 0], "clip": golden * look + noise[look, 1] + levels}
        judges = {name: summarise(found, prompts) for name, found in values.items()}
        measures = {"grid_energy": summarise(noise[look, 0], prompts)}
        scores = {name: tuple(found.tolist()) for name, found in values.items()} if paired else {}
        number = len(prompts)
        records.append(Record(step, number, number, PROXY, "clip", judges, measures, scores=scores))
    write_records(folder, records)
    config = {**refl_synthetic().to_dict(), "steps": 30}
    (folder / "config.json").write_text(json.dumps(config))
    return folder
