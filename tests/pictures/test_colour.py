"""One picture in two encodings of colour has the same pixels; a profile that cannot be used is said."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from dina_lrm.images import ColourProfileWarning, load_image
from dina_lrm.pictures.colour import UNUSED_PROFILE, to_rgb
from dina_lrm.pictures.files import decoded_bytes
from tests.pictures.profiles import display_p3, grey, srgb

SRGB = ImageCms.createProfile("sRGB")


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def with_profile(image, profile, form="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, form, icc_profile=profile, **options)
    return buffer.getvalue()


def converted(image, profile):
    return ImageCms.profileToProfile(image, ImageCms.ImageCmsProfile(io.BytesIO(profile)), SRGB, outputMode="RGB")


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF"])
def test_wide_colours_become_those_of_the_converted_picture(form):
    image = Image.fromarray(noise(8, 9, 3))
    found = load_image(with_profile(image, display_p3(), form, **({"lossless": True} if form == "WEBP" else {})))
    assert np.array_equal(found, converted(image, display_p3()))
    assert not np.array_equal(found, image)


def test_srgb_leaves_every_pixel_as_it_is():
    image = Image.fromarray(noise(64, 64, 3))
    assert np.array_equal(load_image(with_profile(image, srgb())), image)


def test_grey_goes_through_a_profile_of_grey_and_through_one_of_rgb():
    image = Image.fromarray(noise(8, 9))
    assert np.array_equal(load_image(with_profile(image, grey(1.0))), converted(image, grey(1.0)))
    as_rgb = converted(image.convert("RGB"), display_p3(1.0))
    assert np.array_equal(load_image(with_profile(image, display_p3(1.0))), as_rgb)


def test_ink_with_a_profile_of_light_is_read_as_ink():
    ink = Image.fromarray(noise(8, 8, 3)).convert("CMYK")
    ink.info["icc_profile"] = display_p3()
    found = to_rgb(ink)
    assert found.note == UNUSED_PROFILE and np.array_equal(found.image, ink.convert("RGB"))


def test_transparency_is_composited_after_the_colours_are_converted():
    pixels = noise(8, 9, 4)
    image = Image.fromarray(pixels)
    opaque = converted(image.convert("RGB"), display_p3())
    opaque.putalpha(image.getchannel("A"))
    expected = Image.alpha_composite(Image.new("RGBA", image.size, "white"), opaque).convert("RGB")
    assert np.array_equal(load_image(with_profile(image, display_p3())), expected)


@pytest.mark.parametrize("profile", [b"\0" * 500, b"short", display_p3()[:150], grey(2.2)])
def test_a_profile_that_cannot_be_used_leaves_the_pixels_and_is_said(profile):
    image = Image.fromarray(noise(8, 9, 3))
    data = with_profile(image, profile)
    found = decoded_bytes(data, "a.png")
    assert np.array_equal(found.image, image) and found.note == UNUSED_PROFILE
    with pytest.warns(ColourProfileWarning, match="its colour profile cannot be used"):
        load_image(data)


def test_what_was_converted_is_not_converted_again():
    once = load_image(with_profile(Image.fromarray(noise(8, 9, 3)), display_p3()))
    assert np.array_equal(load_image(once), once)
