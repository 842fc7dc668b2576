"""Buckets: even division, equal area, symmetry, and the nearest shape."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dina_lrm.data.buckets import Bucket, Sizes, buckets_for, nearest_bucket, scale


@pytest.mark.parametrize(("resolution", "multiple"), [(32, 8), (64, 8), (512, 16), (1024, 16), (1024, 64)])
def test_buckets_divide_evenly_keep_the_area_and_come_in_both_orientations(resolution: int, multiple: int) -> None:
    buckets = buckets_for(resolution, multiple)
    assert Bucket(resolution, resolution) in buckets
    assert len(set(buckets)) == len(buckets) <= 33
    for bucket in buckets:
        assert bucket.width % multiple == bucket.height % multiple == 0
        assert 0.5 <= bucket.aspect <= 2.0
        assert bucket.width * bucket.height == pytest.approx(resolution**2, rel=0.2)
        assert Bucket(bucket.height, bucket.width) in buckets


def test_the_small_square_world_maps_to_itself() -> None:
    assert nearest_bucket((32, 32), buckets_for(32, 8)) == Bucket(32, 32)


@given(st.integers(1, 4000), st.integers(1, 4000))
def test_nearest_commutes_with_turning_the_image(width: int, height: int) -> None:
    buckets = buckets_for(512, 16)
    upright, turned = nearest_bucket((width, height), buckets), nearest_bucket((height, width), buckets)
    assert (turned.width, turned.height) == (upright.height, upright.width)


def test_aspect_decides_first_then_area() -> None:
    buckets = [Bucket(256, 256), Bucket(1024, 1024), Bucket(512, 256)]
    assert nearest_bucket((900, 900), buckets) == Bucket(1024, 1024)
    assert nearest_bucket((200, 210), buckets) == Bucket(256, 256)
    assert nearest_bucket((2000, 1000), buckets) == Bucket(512, 256)


@pytest.mark.parametrize(("resolution", "multiple"), [(30, 8), (0, 8), (4, 8), (32, 0)])
def test_impossible_resolutions_are_refused(resolution: int, multiple: int) -> None:
    with pytest.raises(ValueError, match=f"resolution={resolution}; accepted: positive multiples of {multiple}"):
        buckets_for(resolution, multiple)


def test_faults_name_what_was_given() -> None:
    with pytest.raises(ValueError, match=r"max_aspect=0\.5"):
        buckets_for(32, 8, max_aspect=0.5)
    with pytest.raises(ValueError, match="none given"):
        nearest_bucket((3, 4), [])
    with pytest.raises(ValueError, match="0x4"):
        nearest_bucket((0, 4), [Bucket(1, 1)])


SIDES = st.integers(8, 3000)
PAPER = Sizes.parsed(None, "paper").buckets(32)


@given(SIDES, SIDES, st.sampled_from([(32, 8), (512, 16), (1024, 16), (1024, 32)]))
def test_among_shapes_of_one_area_the_nearest_shape_decides_alone(width, height, made_of):
    buckets = buckets_for(*made_of)
    unlike = [abs(math.log(bucket.aspect * height / width)) for bucket in buckets]
    chosen = buckets.index(nearest_bucket((width, height), buckets))
    assert unlike[chosen] == pytest.approx(min(unlike), abs=1e-8)


@given(SIDES, SIDES)
def test_of_several_areas_none_of_about_that_shape_would_resample_less(width, height):
    chosen = nearest_bucket((width, height), PAPER)
    image = Bucket(width, height)
    nearest = min(abs(math.log(bucket.aspect / image.aspect)) for bucket in PAPER)
    assert abs(math.log(chosen.aspect / image.aspect)) <= nearest + 0.03 + 1e-9
    alike = [bucket for bucket in PAPER if abs(math.log(bucket.aspect / chosen.aspect)) < 1e-9]
    resampled = {bucket: abs(math.log(scale((width, height), bucket))) for bucket in alike}
    assert resampled[chosen] == pytest.approx(min(resampled.values()), abs=1e-8)
    assert scale((width, height), chosen) <= 1 or all(
        scale((width, height), bucket) >= scale((width, height), chosen) or resampled[bucket] >= resampled[chosen]
        for bucket in alike
    ), "enlarged no more than needed"


@pytest.mark.parametrize("bucket", PAPER, ids=str)
def test_a_picture_of_a_buckets_size_keeps_it(bucket):
    assert nearest_bucket((bucket.width, bucket.height), PAPER) == bucket
    assert nearest_bucket((bucket.width, bucket.height), PAPER[::-1]) == bucket


def test_shape_decides_before_area_and_both_directions_of_resampling_count_alike():
    for size, wanted in {
        (700, 700): Bucket(512, 512),
        (730, 730): Bucket(1024, 1024),
        (2000, 1000): Bucket(1472, 832),
        (1400, 1024): Bucket(1152, 832),
        (1536, 1024): Bucket(1344, 896),
    }.items():
        assert nearest_bucket(size, PAPER) == wanted


def test_sizes_are_what_the_options_say_in_any_order():
    assert Sizes.parsed(None, None) is None
    assert Sizes.parsed("512", None).buckets(16) == buckets_for(512, 16)
    several = Sizes.parsed("1024,512", None)
    assert several.resolution is None and several.several == (512, 1024) and str(several) == "512,1024 pixels"
    assert set(several.buckets(16)) == {*buckets_for(512, 16), *buckets_for(1024, 16)}
    listed = Sizes.parsed(None, "768x512,512x512")
    assert listed.buckets(16) == (Bucket(512, 512), Bucket(768, 512))
    assert listed.same_as(Sizes.parsed(None, "512x512,768x512")) and not listed.same_as(several)
    assert len(PAPER) == 13 and str(Sizes.parsed(None, "paper")) == "paper (13 sizes)"
    assert Sizes.of_model(512, Sizes.parsed(None, "paper").words).same_as(Sizes.of_model(512, ["paper"]))


@pytest.mark.parametrize(
    ("resolution", "buckets", "told"),
    [
        ("512", "paper", "--resolution 512 and --buckets paper; accepted: one of the two"),
        ("512,x", None, "--resolution 512,x; accepted: pixels above 0"),
        ("0", None, "--resolution 0; accepted"),
        ("512,512", None, r"resolutions \[512, 512\].*each size once"),
        (None, "512x512,512x512", "each size once"),
        (None, "512", "--buckets 512; accepted: paper, or WIDTHxHEIGHT"),
        (None, "", "--buckets ; accepted"),
        (None, "0x512", "0x512; width and height must be at least 1"),
    ],
)
def test_words_that_are_no_sizes_are_refused(resolution, buckets, told):
    with pytest.raises(ValueError, match=told):
        Sizes.parsed(resolution, buckets)


def test_a_size_that_a_generator_cannot_take_is_refused_with_one_that_it_can():
    with pytest.raises(ValueError, match=r"bucket 520x512: .* multiples of 16 pixels; accepted: such as 512x512"):
        Sizes.parsed(None, "520x512").buckets(16)
