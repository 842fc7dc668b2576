"""A row in flow_grpo's table: composed right, from eight threads, and every failure is raised."""

import sys

import numpy as np
import pytest
import torch

from dina_lrm.backbones.latents import packed
from dina_lrm.integrations import flow_grpo
from dina_lrm.integrations.flow_grpo import install, with_row

PROMPTS = ["a small red ring on white", "two large blue bars on black", "a cross", "one ring"]
METADATA = [{} for _ in PROMPTS]


@pytest.fixture
def trainer(monkeypatch):
    from pathlib import Path

    monkeypatch.syspath_prepend(Path(__file__).parent / "trainers")
    from flow_grpo import rewards as found

    assert found.__name__ == "flow_grpo.rewards" and found is not flow_grpo
    found.CALLS.clear()
    yield found
    for name in [name for name in sys.modules if name.split(".")[0] == "flow_grpo"]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def images():
    return torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def latents(model, images):
    return model.encode_images(images)


def built(trainer, table):
    """As the script builds it, for training and again for evaluation."""
    return [trainer.multi_score(torch.device("cpu"), table) for _ in range(2)]


def test_every_row_is_there_and_the_sum_is_weighted(trainer, model, images):
    install(noise_level=0.3)
    reward_fn, evaluation = built(trainer, {"brightness": 2.0, "dina": 0.5, "length": -1.0})
    details, more = reward_fn(images, PROMPTS, METADATA, only_strict=False)
    assert more == {} and set(details) == {"brightness", "dina", "length", "avg"}
    expected = model.score(images.mul(255).round() / 255, PROMPTS, 0.3)
    assert details["dina"] == pytest.approx(expected.tolist(), abs=1e-4)
    total = [
        2 * b + 0.5 * s - n for b, s, n in zip(*(details[k] for k in ("brightness", "dina", "length")), strict=True)
    ]
    assert details["avg"] == pytest.approx(total)
    assert trainer.CALLS == [{"metadata": METADATA, "ref_images": None, "only_strict": False}]
    assert evaluation.scorer is reward_fn.scorer


def test_alone_and_not_at_all(trainer, images):
    stock = trainer.multi_score
    install()
    alone, _ = built(trainer, {"dina": 2.0})
    details = alone(images, tuple(PROMPTS), METADATA)[0]
    assert details["avg"] == pytest.approx([2 * score for score in details["dina"]]) and not trainer.CALLS
    without = trainer.multi_score("cpu", {"length": 1.0})
    assert without(images, PROMPTS, METADATA)[0] == stock("cpu", {"length": 1.0})(images, PROMPTS, METADATA)[0]


def test_what_else_the_script_says_goes_to_the_other_rows(trainer, images):
    install()
    reward_fn, _ = built(trainer, {"dina": 1.0, "length": 1.0})
    reward_fn(images, PROMPTS, METADATA, ref_images="looked at", only_strict=True)
    reward_fn(images, PROMPTS, METADATA, "looked at", False)
    assert [call["ref_images"] for call in trainer.CALLS] == ["looked at"] * 2
    assert [call["only_strict"] for call in trainer.CALLS] == [True, False]


def test_latents_and_embeddings_are_read_in_the_place_of_pictures(trainer, model, images, latents):
    install(noise_level=0.4)
    reward_fn, _ = built(trainer, {"dina": 1.0})
    told = model.encode_prompts(PROMPTS)
    expected = model.score_latents(latents, told, 0.4).tolist()
    bfloat = (told.prompt_embeds, told.pooled_prompt_embeds)
    for given in (
        {"latents": latents},
        {"latents": latents, "told": told},
        {"latents": packed(latents)},
        {"latents": latents, "told": (*bfloat, told.prompt_mask)},
    ):
        assert reward_fn(images, PROMPTS, METADATA, **given)[0]["dina"] == pytest.approx(expected, abs=1e-4)
    assert len(reward_fn(images, PROMPTS, METADATA, latents=latents.bfloat16(), told=bfloat)[0]["dina"]) == len(PROMPTS)


def test_arrays_and_pil_are_the_same_pictures(trainer, images):
    from PIL import Image

    install()
    reward_fn, _ = built(trainer, {"dina": 1.0})
    whole = images.mul(255).round().byte().permute(0, 2, 3, 1).numpy()
    pil = [Image.fromarray(one) for one in whole]
    first = reward_fn(images, PROMPTS, METADATA)[0]["dina"]
    assert reward_fn(whole, PROMPTS, METADATA)[0]["dina"] == first == reward_fn(pil, PROMPTS, METADATA)[0]["dina"]


def test_eight_threads_get_what_one_gets(trainer, images):
    install()
    reward_fn, _ = built(trainer, {"dina": 1.0, "brightness": 0.5})
    batches = [(images.roll(n, 0), PROMPTS[-n:] + PROMPTS[:-n], METADATA) for n in range(4)] * 4
    together = trainer.train_step(reward_fn, batches)
    one_by_one = trainer.train_step(reward_fn, batches, workers=1)
    assert together["avg"].shape == (64,)
    for key, values in together.items():
        torch.testing.assert_close(values, one_by_one[key], atol=1e-5, rtol=1e-5)


def test_two_rows_of_ours(trainer, model, images):
    install(name="low", noise_level=0.1)
    install(name="high", noise_level=0.7)
    reward_fn, _ = built(trainer, {"low": 1.0, "high": 1.0})
    details = reward_fn(images, PROMPTS, METADATA)[0]
    rounded = images.mul(255).round() / 255
    for name, level in (("low", 0.1), ("high", 0.7)):
        assert details[name] == pytest.approx(model.score(rounded, PROMPTS, level).tolist(), abs=1e-4)


def test_failures_are_raised_and_say_which_sample(trainer, images):
    install()
    reward_fn, _ = built(trainer, {"dina": 1.0})
    bad = images.clone()
    bad[2, 0, 0, 0] = float("nan")
    with pytest.raises(ValueError, match=r"images\[2\]: floats outside \[0, 1\]"):
        trainer.train_step(reward_fn, [(bad, PROMPTS, METADATA)])
    with pytest.raises(ValueError, match="images: 3 entries for 4 items"):
        reward_fn(images[:3], PROMPTS, METADATA)
    with pytest.raises(ValueError, match=r"told: Tensor; accepted: \(prompt_embeds, pooled_prompt_embeds"):
        reward_fn(images, PROMPTS, METADATA, latents=torch.zeros(4, 16, 8, 8), told=torch.zeros(4, 3))
    with pytest.raises(ValueError, match=r"item 0: .*no pooled_prompt_embeds"):
        reward_fn(images, PROMPTS, METADATA, latents=torch.zeros(4, 16, 8, 8), told=(np.zeros((4, 8, 48), "float32"),))
    with pytest.raises(ValueError, match="noise_level"):
        install(noise_level=1.5)
    taken = with_row(trainer.multi_score, "length", "synthetic")
    with pytest.raises(ValueError, match="another reward is called 'length'"):
        flow_grpo.Row("length", 1.0, reward_fn.scorer, others=trainer.multi_score("cpu", {"length": 1.0}))(
            images, PROMPTS, METADATA
        )
    assert set(taken("cpu", {"length": 1.0})(images, PROMPTS, METADATA)[0]) == {"length", "avg"}
