"""Measures: values derived by hand, and grid energy that rises with a grid and with nothing else."""

import numpy as np
import pytest
import torch

from dina_lrm.pictures.measures import (
    MEASURES,
    colour_entropy,
    diversity,
    edge_strength,
    grid_energy,
    pairwise_distance,
)
from dina_lrm.rewards.heuristics import Sharpness
from dina_lrm.rewards.names import REWARDS
from dina_lrm.synthetic import defects
from dina_lrm.synthetic.render import render
from dina_lrm.synthetic.scene import realise, sample_prompt

SEVERITIES = (0.1, 0.3, 0.6, 1.0)


def to_uint8(pixels: np.ndarray) -> np.ndarray:
    return np.round(np.clip(pixels, 0, 1) * 255).astype(np.uint8)


@pytest.fixture(scope="module")
def clean() -> np.ndarray:
    rng = np.random.default_rng(0)
    return render([realise(sample_prompt(rng), rng) for _ in range(200)])


def damaged(images: np.ndarray, name: str, severity: float) -> np.ndarray:
    kinds, amount = np.array([name] * len(images)), np.full(len(images), severity, np.float32)
    return to_uint8(defects.apply(images, kinds, amount, np.random.default_rng(1)))


def natural(n: int, side: int, seed: int) -> np.ndarray:
    """Pictures whose power falls as 1/f^2, as that of photographs does; floats around 0.5."""
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None, :])
    frequency[0, 0] = 1
    noise = np.fft.fft2(np.random.default_rng(seed).normal(size=(n, 3, side, side)))
    found = np.fft.ifft2(noise / frequency).real
    return np.moveaxis(0.5 + 0.15 * found / found.std(), 1, -1)


def stripes(side: int, period: float, angle: float) -> np.ndarray:
    y, x = np.mgrid[:side, :side]
    return np.cos(2 * np.pi / period * (x * np.cos(angle) + y * np.sin(angle)) + 1.0)[:, :, None]


def test_a_checkerboard_is_as_sharp_as_can_be_and_a_ramp_not_at_all():
    board = ((np.indices((6, 6)).sum(axis=0) % 2) * 255).astype(np.uint8)
    ramp = np.tile(np.arange(0, 60, 10, dtype=np.uint8), (6, 1))
    pictures = np.stack([board, ramp])[..., None].repeat(3, axis=-1)
    np.testing.assert_allclose(edge_strength(pictures), [4, 0], atol=1e-9)


def test_entropy_counts_colours():
    one = np.full((8, 8, 3), 200, np.uint8)
    halves = one.copy()
    halves[:4] = 10
    every = np.stack(np.meshgrid(*[np.array([0, 64, 128, 192])] * 3), axis=-1).reshape(8, 8, 3).astype(np.uint8)
    np.testing.assert_allclose(colour_entropy(np.stack([one, halves, every])), [0, 1, 6], atol=1e-12)


def test_grid_energy_rises_with_a_grid(clean):
    means = [grid_energy(to_uint8(clean)).mean()]
    for severity in SEVERITIES:
        each = grid_energy(damaged(clean, "grid", severity))
        means.append(each.mean())
    assert means[0] < 0.01
    assert means[1] > 0.05 and means[-1] > 0.45
    assert np.all(np.diff(means) > 0.05)
    # Picture by picture, not on average alone
    assert (each > grid_energy(to_uint8(clean)) + 0.1).mean() > 0.99


@pytest.mark.parametrize("name", [name for name in defects.DEFECTS if name != "grid"])
@pytest.mark.parametrize("severity", SEVERITIES)
def test_grid_energy_hardly_moves_with_other_damage(clean, name, severity):
    assert grid_energy(damaged(clean, name, severity)).mean() < grid_energy(to_uint8(clean)).mean() + 0.003


def test_grid_energy_hardly_moves_with_the_content():
    rng = np.random.default_rng(5)
    prompts = [sample_prompt(rng) for _ in range(400)]
    found = grid_energy(to_uint8(render([realise(prompt, rng) for prompt in prompts])))
    single = np.array([prompt.relation is None and prompt.count == 1 for prompt in prompts])
    assert max(found[single].mean(), found[~single].mean()) < 0.015


@pytest.mark.parametrize("period", [2, 3, 4, 6, 8])
@pytest.mark.parametrize("side", [64, 200])
def test_in_pictures_of_any_size_stripes_of_any_short_period_are_seen(side, period):
    pictures = natural(4, side, seed=period)
    plain, energy = grid_energy(to_uint8(pictures)), []
    assert plain.max() < 0.01
    for amplitude in (0.04, 0.08, 0.16):
        energy.append(grid_energy(to_uint8(pictures + amplitude * stripes(side, period, 0.0))).mean())
    assert plain.mean() < energy[0] < energy[1] < energy[2] and energy[2] > plain.mean() + 0.04


@pytest.mark.parametrize("angle", [0.3, np.pi / 4, np.pi / 2])
def test_the_direction_of_the_texture_does_not_matter(angle):
    pictures = natural(6, 128, seed=0)
    along, across = (grid_energy(to_uint8(pictures + 0.08 * stripes(128, 5.0, a))).mean() for a in (0.0, angle))
    assert across == pytest.approx(along, rel=0.25)


def test_grid_energy_is_a_share_that_contrast_does_not_change(clean):
    grids = defects.grid(clean, np.full(len(clean), 0.5, np.float32), np.random.default_rng(0))
    grids = 0.25 + 0.5 * np.clip(grids, 0, 1)
    whole, half = (grid_energy(to_uint8(pictures)) for pictures in (grids, 0.25 + 0.5 * grids))
    # Rounding to grey levels takes some frequencies over the threshold and others not
    np.testing.assert_allclose(whole, half, atol=0.05)
    assert whole.mean() == pytest.approx(half.mean(), abs=0.005)
    assert 0 <= whole.min() and whole.max() <= 1
    assert grid_energy(np.full((2, 32, 32, 3), 77, np.uint8)).max() == 0


def test_diversity_is_the_distance_of_pictures_of_one_prompt():
    black, white = np.zeros((32, 32, 3), np.uint8), np.full((32, 32, 3), 255, np.uint8)
    pictures = np.stack([black, white, black, white, white, black])
    prompts = ["two", "two", "same", "once", "three", "same"]
    assert diversity(pictures, prompts) == pytest.approx({"two": 1, "same": 0})
    # 0, 0, 1 in one dimension: distances 0, 1, 1
    assert pairwise_distance(np.array([[0.0], [0.0], [1.0]]), ["a"] * 3) == pytest.approx({"a": 2 / 3})


def test_noise_is_no_diversity_and_other_seeds_are(clean):
    noisy = to_uint8(clean[:1].repeat(8, axis=0) + 0.1 * np.random.default_rng(0).normal(size=(8, 32, 32, 3)))
    different = to_uint8(clean[:8])
    assert 5 * diversity(noisy, ["a"] * 8)["a"] < diversity(different, ["a"] * 8)["a"]


@pytest.mark.parametrize("name", MEASURES)
def test_a_picture_is_measured_alike_alone_and_in_a_batch(name, clean):
    pictures = damaged(clean[:7], "grid", 0.4)
    alone = [MEASURES[name](pictures[row : row + 1])[0] for row in range(7)]
    np.testing.assert_allclose(MEASURES[name](pictures), alone, rtol=1e-12)


@pytest.mark.parametrize("name", MEASURES)
def test_what_is_no_batch_of_pictures_is_refused(name):
    with pytest.raises(ValueError, match=rf"{name}: float64 of shape \(2, 32, 32, 3\); accepted: uint8"):
        MEASURES[name](np.zeros((2, 32, 32, 3)))
    with pytest.raises(ValueError, match=rf"{name}: uint8 of shape \(0, 32, 32, 3\); accepted"):
        MEASURES[name](np.zeros((0, 32, 32, 3), np.uint8))


def test_too_small_pictures_are_refused():
    with pytest.raises(ValueError, match="at least 16 x 16"):
        grid_energy(np.zeros((1, 32, 8, 3), np.uint8))
    with pytest.raises(ValueError, match="2 pictures and 1 prompts"):
        diversity(np.zeros((2, 8, 8, 3), np.uint8), ["a"])


def test_no_measure_has_the_name_of_a_reward():
    assert not {*MEASURES, "diversity"} & set(REWARDS)


def test_edge_strength_and_the_sharpness_reward_are_mean_and_mean_square_of_one_map():
    shade = np.array([[0, 0, 0, 0], [0, 255, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]], np.uint8)
    pictures = np.repeat(shade[None, :, :, None], 3, axis=3)
    # The Laplacian of the single pixel inside the border: -4, 1, 1 and 0
    np.testing.assert_allclose(edge_strength(pictures), [6 / 4], atol=1e-6)
    pixels = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    torch.testing.assert_close(Sharpness()(pixels, ["a"]), torch.tensor([18 / 4]))
