"""Pictures of awkward sizes against Pillow and arithmetic by hand, as the libraries of the published judges do it."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from dina_lrm.rewards.judges.pictures import BlackBars, MiddleCut, Preparation, scaled_levels, scaled_size
from dina_lrm.rewards.judges.processor_file import clip_preparation

SIZES = [(1, 40), (7, 100), (99, 98), (98, 99), (101, 98), (103, 98), (333, 224), (64, 48), (32, 32), (250, 17)]
"""Width and height: thin, one pixel over, odd cuts."""


def picture(width, height, seed=0):
    """Sharp and noisy, in whole grey levels: every filter overshoots."""
    levels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return levels, torch.from_numpy(levels).permute(2, 0, 1).float() / 255


def numbers(image):
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255


@pytest.mark.parametrize(
    ("size", "scaled"),
    [
        ((640, 480), (224, 298)),  # 298.67: cut off, not rounded
        ((225, 224), (224, 225)),
        ((500, 300), (224, 373)),
        ((97, 1000), (2309, 224)),
        ((1, 40), (8960, 224)),
    ],
)
def test_the_long_side_is_truncated(size, scaled):
    assert scaled_size(size[1], size[0], 224) == scaled


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("cut", ["floor", "even"])
def test_the_middle_is_pillows_cut_where_the_library_cuts_it(size, cut):
    levels, pixels = picture(*size)
    width, height = (32, int(32 * size[1] / size[0])) if size[0] <= size[1] else (int(32 * size[0] / size[1]), 32)
    whole = Image.fromarray(levels).resize((width, height), Image.Resampling.BICUBIC)
    half = (lambda spare: spare // 2) if cut == "floor" else (lambda spare: round(spare / 2))
    left, top = half(width - 32), half(height - 32)
    expected = numbers(whole.crop((left, top, left + 32, top + 32)))
    assert torch.equal(MiddleCut(32, 32, cut)(pixels), expected)


@pytest.mark.parametrize(("spare", "floor", "even"), [(1, 0, 0), (2, 1, 1), (3, 1, 2), (4, 2, 2), (5, 2, 2), (7, 3, 4)])
def test_half_a_pixel_goes_down_or_to_the_even(spare, floor, even):
    pixels = picture(8 + spare, 8)[1]
    for cut, left in (("floor", floor), ("even", even)):
        assert torch.equal(MiddleCut(8, 8, cut)(pixels), pixels[:, :, left : left + 8])


@pytest.mark.parametrize(
    ("size", "inside"),
    [((50, 30), (19, 32)), ((30, 50), (32, 19)), ((1, 100), (32, 1)), ((33, 32), (31, 32)), ((31, 32), (32, 31))],
)
def test_black_bars_stand_beside_a_picture_that_is_fitted_whole(size, inside):
    """50 x 30 to 32 is 19.2 high: 6 rows above, 7 below. 33 x 32: 31.03. Overshoot stays."""
    pixels = picture(*size)[1]
    found = BlackBars(32)(pixels)
    top, left = (32 - inside[0]) // 2, (32 - inside[1]) // 2
    smooth = F.interpolate(pixels[None], inside, mode="bicubic", antialias=True)[0]
    assert found.shape == (3, 32, 32)
    assert torch.equal(found[:, top : top + inside[0], left : left + inside[1]], smooth)
    outside = torch.ones(32, 32, dtype=torch.bool)
    outside[top : top + inside[0], left : left + inside[1]] = False
    assert (found[:, outside] == 0).all()


def test_a_fitted_picture_keeps_its_overshoot_and_a_cut_one_has_whole_levels():
    pixels = picture(10, 10)[1]
    fitted, cut = BlackBars(32)(pixels), MiddleCut(32, 32, "floor")(pixels)
    assert fitted.min() < 0 and fitted.max() > 1
    assert torch.equal((cut * 255).round() / 255, cut)


def test_float_pixels_are_read_as_they_would_be_saved():
    pixels = torch.rand(3, 20, 32, generator=torch.Generator().manual_seed(0))
    saved = (pixels * 255).round() / 255
    for frame in (MiddleCut(16, 16, "even"), BlackBars(16), MiddleCut(20, 16, "floor")):
        assert torch.equal(frame(pixels), frame(saved))


@pytest.mark.parametrize("frame", [MiddleCut(16, 16, "even"), BlackBars(16), MiddleCut(20, 20, "floor")])
def test_values_are_the_same_with_a_gradient_which_is_that_of_smooth_scaling(frame):
    pixels = picture(30, 20)[1].requires_grad_()
    found = frame(pixels)
    torch.testing.assert_close(found, frame(pixels.detach()), rtol=0, atol=1e-6)
    weights = torch.rand(found.shape, generator=torch.Generator().manual_seed(1))
    (gradient,) = torch.autograd.grad((found * weights).sum(), pixels)
    again = pixels.detach().requires_grad_()
    if isinstance(frame, BlackBars):
        smooth = F.pad(F.interpolate(again[None], (11, 16), mode="bicubic", antialias=True)[0], (0, 0, 2, 3))
    else:
        size = scaled_size(20, 30, frame.short)
        whole = again if size == (20, 30) else F.interpolate(again[None], size, mode="bicubic", antialias=True)[0]
        left = (size[1] - frame.side) // 2
        smooth = whole.clamp(0, 1)[:, :, left : left + frame.side]
    torch.testing.assert_close(gradient, torch.autograd.grad((smooth * weights).sum(), again)[0])


def test_a_picture_too_thin_to_be_scaled_is_refused_before_it_fills_the_memory():
    with pytest.raises(ValueError, match="a picture of 400000 x 1 pixels, scaled to 224 at its short side"):
        MiddleCut(224, 224, "floor")(torch.zeros(3, 1, 1).expand(3, 1, 400_000))
    with pytest.raises(ValueError, match="scaled to 8 and cut to 16"):
        MiddleCut(8, 16, "floor")


def test_each_colour_is_normalised_by_its_own_numbers():
    images = torch.stack([picture(16, 16, seed)[1] for seed in (0, 1)])
    found = Preparation(MiddleCut(16, 16, "floor"), (0.1, 0.2, 0.3), (1.0, 2.0, 4.0))(images)
    for colour, (mean, std) in enumerate(((0.1, 1.0), (0.2, 2.0), (0.3, 4.0))):
        torch.testing.assert_close(found[:, colour], (images[:, colour] - mean) / std)
    assert torch.equal(scaled_levels(images[0], (16, 16)), images[0])


GIVEN = {"size": {"shortest_edge": 20}, "crop_size": {"height": 16, "width": 16}, "resample": 3}
GIVEN |= {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.5, 1.0]}


def test_a_processors_file_is_read_in_its_old_and_its_new_form(tmp_path):
    for told in (GIVEN, GIVEN | {"size": 20, "crop_size": 16, "do_resize": True}):
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(told))
        found = clip_preparation(tmp_path, "even")
        assert found == Preparation(MiddleCut(20, 16, "even"), (0.5, 0.5, 0.5), (0.25, 0.5, 1.0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"do_center_crop": False}, "do_center_crop is false"),
        ({"resample": 2}, r"accepted: resample 3 \(bicubic\)"),
        ({"rescale_factor": 1.0}, "rescale_factor of 1 / 255"),
        ({"size": {"height": 16, "width": 16}}, "size is .*accepted: a number of pixels, or shortest_edge"),
        ({"crop_size": {"height": 16, "width": 8}}, "crop_size is"),
        ({"size": {"shortest_edge": 8}}, "scaled to 8 and cut to 16"),
        ({"image_mean": [0.5]}, "image_mean is"),
    ],
)
def test_what_another_processor_does_is_refused_by_name(tmp_path, change, message):
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(GIVEN | change))
    with pytest.raises(ValueError, match=message):
        clip_preparation(tmp_path)
