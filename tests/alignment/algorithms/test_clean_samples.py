"""The pretraining loss on pictures that people preferred."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from dina_lrm.alignment.algorithms.clean_samples import LeftOutWarning, preferred_samples
from dina_lrm.data.buckets import Bucket
from dina_lrm.data.comparison import Comparison
from dina_lrm.data.sources import write_comparisons
from dina_lrm.images import to_pixels
from tests.alignment.runs import REFL, a_generator, a_run, updated

LONG = "a small red ring right of a large blue bar " * 5


@pytest.fixture(scope="module")
def generator():
    return a_generator()


def picture(number, size=(32, 32)):
    return Image.fromarray(np.random.default_rng(number).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8))


def table(folder, rows):
    """A set of (prompt, whether the first is better or None for a tie, broken) with pictures of their own."""
    folder.mkdir()
    comparisons = []
    for number, (prompt, first, broken) in enumerate(rows):
        names = [folder / f"{number}-{side}.png" for side in "ab"]
        for side, name in enumerate(names):
            picture(10 * number + side).save(name)
            if broken:
                name.write_bytes(b"no picture")
        preference = 0.5 if first is None else 0.9 if first else 0.0
        comparisons.append(Comparison(prompt, *names, preference))
    write_comparisons(folder / "comparisons.jsonl", comparisons)
    return folder / "comparisons.jsonl"


def drawn(generator, path, count=10, seed=0):
    return preferred_samples(generator, path, count, np.random.default_rng(seed), batch_size=2)


def test_they_are_the_preferred_pictures_each_once(generator, tmp_path):
    prompts = [f"a {colour} ring" for colour in ("red", "blue", "green")]
    path = table(tmp_path / "set", [(prompts[0], True, False), (prompts[1], False, False), (prompts[2], None, False)])
    path.write_text(path.read_text() + path.read_text().splitlines()[0] + "\n")
    found = drawn(generator, path)
    assert found.prompts == (prompts[0], prompts[1])
    with torch.no_grad():
        expected = generator.backbone.encode_images(to_pixels([picture(0), picture(11)], Bucket(32, 32)))
    torch.testing.assert_close(found.latents, expected)


def test_they_are_drawn_by_the_seed_and_scaled_to_the_generator(generator, tmp_path):
    path = table(tmp_path / "set", [(f"a red ring {number}", True, False) for number in range(20)])
    for name in path.parent.glob("*-a.png"):
        picture(1, (64, 48)).save(name)
    first, again, other = (drawn(generator, path, 4, seed) for seed in (0, 0, 1))
    assert first.latents.shape == (4, 16, 8, 8) and torch.equal(first.latents, again.latents)
    assert first.prompts == again.prompts and set(first.prompts) != set(other.prompts)


def test_what_cannot_be_learned_from_is_left_out_and_said(generator, tmp_path):
    path = table(tmp_path / "set", [("a red ring", True, False), (LONG, True, False), ("a blue ring", True, True)])
    with pytest.warns(LeftOutWarning, match=r"2 of 3 pictures are left out .* tokens given, 16 kept"):
        assert drawn(generator, path).prompts == ("a red ring",)
    with pytest.raises(ValueError, match=r"none of 1 pictures can be learned from: .*not a readable image"):
        drawn(generator, table(tmp_path / "broken", [("a blue ring", True, True)]))
    with pytest.raises(ValueError, match="no comparison prefers one of its images"):
        drawn(generator, table(tmp_path / "ties", [("a blue ring", None, False)]))
    with pytest.raises(FileNotFoundError):
        drawn(generator, tmp_path / "nowhere.jsonl")


def test_a_run_learns_from_them_and_resumes_exactly(tmp_path):
    path = table(tmp_path / "set", [(f"a red ring {number}", True, False) for number in range(6)])
    settings = replace(REFL.refl, pretraining_weight=1e6, pretraining_samples=4, pretraining_data=str(path))
    config = replace(REFL, refl=settings, steps=2, checkpoint_every=1)
    noise = updated(config, a_generator()).loss
    own = updated(replace(config, refl=replace(settings, pretraining_data=None)), a_generator()).loss
    assert noise > 2 * own  # the generator's own samples are what it predicts best, and noise is what it never saw
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        whole, _, _ = a_run(config, tmp_path / "whole")
        a_run(config, tmp_path / "parts", stop_after=1)
        parts, _, _ = a_run(config, tmp_path / "parts", resume=True)
    for name, parameter in whole.generator.parameters.items():
        assert torch.equal(parameter, parts.generator.parameters[name])


def test_data_without_a_weight_is_refused():
    with pytest.raises(ValueError, match=r"refl.pretraining_data: .* with a pretraining_weight above 0 only"):
        replace(REFL, refl=replace(REFL.refl, pretraining_data="pairs.jsonl"))
