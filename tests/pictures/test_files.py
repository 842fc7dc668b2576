"""Only harmless decoders are tried, what is too large is refused before its pixels are made, whole pixels are read."""

import io
import os
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from dina_lrm.images import load_image
from dina_lrm.pictures.files import FORMATS, SUFFIXES, check_size, decoded_bytes, file_bytes
from tests.pictures.profiles import display_p3

POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n(x) run\nshowpage\n%%EOF\n"


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def chunk(tag, body):
    return struct.pack(">I", len(body)) + tag + body + struct.pack(">I", zlib.crc32(tag + body))


def png(width, height, *more):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    rows = zlib.compress((b"\0" + b"\7" * width) * height, 9)
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(more) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("content", [POSTSCRIPT, b"%PDF-1.4\n", b"\xc5\xd0\xd3\xc6" + b"\0" * 60 + POSTSCRIPT])
@pytest.mark.parametrize("name", ["a.png", "a.eps", "a.tga"])
def test_page_descriptions_start_no_other_program(content, name, tmp_path, monkeypatch):
    def started(*words, **named):
        raise AssertionError(f"started {words}")

    monkeypatch.setattr("subprocess.Popen.__init__", started)
    with pytest.raises(ValueError, match="not a readable image"):
        decoded_bytes(content, name)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match="not a readable image"):
        load_image(tmp_path / name)


@pytest.mark.parametrize("form", [name for name in FORMATS if name not in ("DIB", "AVIF")])
def test_every_format_of_the_list_is_read_under_each_of_its_names(form, tmp_path):
    image = Image.fromarray(noise(16, 16, 3))
    for suffix in FORMATS[form]:
        image.save(tmp_path / f"a{suffix}", format=form)
        assert load_image(tmp_path / f"a{suffix}").size == (16, 16)
    assert set(FORMATS[form]) <= set(SUFFIXES)


def test_bytes_without_a_mark_are_no_picture():
    buffer = io.BytesIO()
    Image.fromarray(noise(4, 4, 3)).save(buffer, "TGA")
    assert decoded_bytes(buffer.getvalue(), "a.tga").image.size == (4, 4)
    with pytest.raises(ValueError, match="not a readable image"):
        load_image(buffer.getvalue())


@pytest.mark.parametrize("size", [(1, 400_000), (400_000, 1), (1, 65), (70_000, 1200), (20_000, 20_000)])
def test_thin_and_enormous_pictures_are_refused_before_their_pixels_are_made(size):
    data = (
        png(*size)
        if size[0] * size[1] < 10**7
        else png(1, 1).replace(
            chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)),
            chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, 0, 0, 0, 0)),
        )
    )
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"not a readable image: .*(accepted|exceeds limit)"):
            decoded_bytes(data, "a.png")
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


def test_the_bounds_hold_for_tensors_and_arrays_too():
    with pytest.raises(ValueError, match="1x100 pixels; accepted: sides"):
        load_image(np.zeros((100, 1), np.uint8))
    check_size(64, 1)
    with pytest.raises(ValueError, match="65x1 pixels"):
        check_size(65, 1)


@pytest.mark.parametrize("size", [(1, 1), (64, 1), (3, 5)])
def test_metadata_of_any_length_leaves_the_pixels_whole(size):
    text = chunk(b"zTXt", b"workflow\0\0" + zlib.compress(b"x" * 3_000_000))
    broken = chunk(b"tEXt", b"parameters\0x")[:-4] + b"\0\0\0\0"
    many = chunk(b"zTXt", b"a\0\0" + zlib.compress(b"x" * 1_000_000)) * 70
    for extra in (text, broken, many, text + broken):
        found = decoded_bytes(png(*size, extra), "a.png")
        assert found.note is None
        assert np.array_equal(found.image, decoded_bytes(png(*size), "a.png").image)


def test_a_profile_behind_long_metadata_is_followed_and_an_endless_one_is_said():
    image = Image.fromarray(noise(8, 8, 3))
    info = PngImagePlugin.PngInfo()
    info.add_text("workflow", "x" * 1_200_000, zip=True)
    plain, long = io.BytesIO(), io.BytesIO()
    image.save(plain, "PNG", icc_profile=display_p3())
    image.save(long, "PNG", icc_profile=display_p3(), pnginfo=info)
    assert np.array_equal(load_image(plain.getvalue()), load_image(long.getvalue()))
    endless = chunk(b"iCCP", b"x\0\0" + zlib.compress(b"\0" * 40_000_000))
    assert decoded_bytes(png(3, 3, endless), "a.png").note is not None


def test_rotation_behind_long_metadata_is_applied():
    image = Image.fromarray(noise(4, 9, 3))
    exif = image.getexif()
    exif[0x0112] = 6
    info = PngImagePlugin.PngInfo()
    info.add_text("workflow", "x" * 1_200_000, zip=True)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", exif=exif, pnginfo=info)
    assert np.array_equal(load_image(buffer.getvalue()), np.rot90(np.asarray(image), k=-1))


def test_files_that_are_none_say_what_they_are(tmp_path):
    (tmp_path / "empty.png").touch()
    with pytest.raises(ValueError, match=r"empty\.png: not a readable image: the file is empty"):
        load_image(tmp_path / "empty.png")
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ValueError, match=r"pipe\.png: not a readable image: a folder or a device"):
        file_bytes(tmp_path / "pipe.png")
