"""Files of pictures from strangers: bounded before pixels are made, one by one and together."""

import base64
import io

import pytest
from PIL import Image

from benchmarks.serving_fuzzing.pictures import scans, solid
from dina_lrm.serving.limits import Limits
from dina_lrm.serving.pictures import Gallery, decoded
from dina_lrm.serving.problems import Problem


def refused(call):
    with pytest.raises(Problem) as found:
        call()
    return found.value


def picture(kind="PNG", side=8):
    data = io.BytesIO()
    Image.new("RGB", (side, side), "red").save(data, kind)
    return data.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_three_formats_are_read(kind):
    data, gallery = picture(kind), Gallery(Limits())
    assert decoded(gallery.counted(data, "a"), "a").size == (8, 8)
    coded = base64.b64encode(data).decode()
    assert gallery.of_base64(coded, "a") == gallery.of_base64(f"data:image/{kind.lower()};base64,{coded}", "a") == data


def test_pixels_are_counted_one_by_one_and_together():
    assert refused(lambda: Gallery(Limits(pixels=63)).counted(picture(), "a")).code == "too_large"
    gallery = Gallery(Limits(request_pixels=150))
    gallery.counted(picture(), "a")
    gallery.counted(picture(), "b")
    problem = refused(lambda: gallery.counted(picture(), "c"))
    assert (problem.status, problem.code) == (413, "too_large")
    assert "c: with it 192 pixels" in problem.message


def test_kilobytes_that_become_gigabytes_are_never_unpacked():
    bomb = solid(4_000)
    assert len(bomb) < 100_000
    assert refused(lambda: Gallery(Limits(pixels=1 << 20)).counted(bomb, "a")).status == 413


def test_a_jpeg_of_many_scans_is_not_decoded():
    assert "scans; accepted: at most 100" in refused(lambda: Gallery(Limits()).counted(scans(200, 64), "a")).message


@pytest.mark.parametrize(
    "data", [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", picture("BMP"), picture()[:40]]
)
def test_what_is_no_picture_is_said_without_words_of_python(data):
    problem = refused(lambda: decoded(Gallery(Limits()).counted(data, "image[3]"), "image[3]"))
    assert (problem.status, problem.code) == (400, "bad_image")
    assert problem.message.startswith("image[3]")
    assert "object at" not in problem.message
