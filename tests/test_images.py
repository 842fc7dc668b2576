"""Images: every source of the same picture gives the same pixels, and every fault names its source."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dina_lrm.data.buckets import Bucket
from dina_lrm.images import fit, load_image, load_pixels, split_images, to_pixels


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)


def as_bytes(image: Image.Image, form: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form)
    return buffer.getvalue()


def test_all_sources_of_one_picture_agree(picture: np.ndarray, tmp_path: Path) -> None:
    pil = Image.fromarray(picture)
    pil.save(tmp_path / "a.png")
    tensor = torch.from_numpy(picture).permute(2, 0, 1)
    unit = picture.astype(np.float32) / 255
    sources = [tmp_path / "a.png", str(tmp_path / "a.png"), as_bytes(pil), pil, picture, unit, tensor, tensor / 255]
    for source in sources:
        assert np.array_equal(np.asarray(load_image(source)), picture)
        torch.testing.assert_close(load_pixels(source), tensor / 255)


def test_float_tensors_keep_their_precision() -> None:
    pixels = torch.rand(3, 4, 5)
    assert torch.equal(load_pixels(pixels), pixels)
    assert torch.equal(to_pixels([pixels], Bucket(5, 4))[0], pixels * 2 - 1)


def test_uint16_arrays_and_16_bit_files_span_the_whole_range(tmp_path: Path) -> None:
    grey = np.array([[0, 65535, 32768]], dtype=np.uint16)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    expected = [0, 255, 128]
    for source in (grey, tmp_path / "grey.png"):
        assert np.asarray(load_image(source))[0, :, 0].tolist() == expected


def test_32_bit_integer_and_float_images(tmp_path: Path) -> None:
    depth = Image.fromarray(np.array([[0.0, 0.5, 1.0]], np.float32))
    counts = Image.fromarray(np.array([[0, 65535]], np.int32))
    assert np.asarray(load_image(depth))[0, :, 1].tolist() == [0, 128, 255]
    assert np.asarray(load_image(counts))[0, :, 1].tolist() == [0, 255]
    with pytest.raises(ValueError, match=r"accepted: 0\.\.1"):
        load_image(Image.fromarray(np.array([[0.0, 7.0]], np.float32)))


def test_exif_rotation_is_applied(picture: np.ndarray, tmp_path: Path) -> None:
    image = Image.fromarray(picture)
    exif = image.getexif()
    exif[0x0112] = 6  # rotate 90 degrees clockwise to display
    image.save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(np.asarray(load_image(tmp_path / "turned.png")), np.rot90(picture, k=-1))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_transparency_is_composited_on_white(mode: str) -> None:
    clear = Image.new("RGBA", (2, 1), (255, 0, 0, 0))
    assert np.asarray(load_image(clear.convert(mode)))[0, 0].tolist() == [255, 255, 255]


def test_half_transparency_is_half_white() -> None:
    half = np.zeros((1, 1, 4), np.uint8)
    half[..., 3] = 128
    assert np.asarray(load_image(Image.fromarray(half)))[0, 0].tolist() == [127, 127, 127]
    assert np.asarray(load_image(half))[0, 0].tolist() == [127, 127, 127]


def test_transparent_palette_is_composited_on_white() -> None:
    palette = Image.new("P", (1, 1), 0)
    palette.putpalette([255, 0, 0])
    buffer = io.BytesIO()
    palette.save(buffer, "PNG", transparency=0)
    assert np.asarray(load_image(buffer.getvalue()))[0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "HSV", "LAB"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    image = load_image(Image.new("RGB", (4, 3), "white").convert(mode) if mode != "LAB" else Image.new("LAB", (4, 3)))
    assert image.mode == "RGB"
    assert image.size == (4, 3)
    if mode != "LAB":
        assert np.asarray(image).min() >= 254


def test_cmyk_jpeg_keeps_its_colours(tmp_path: Path) -> None:
    Image.new("RGB", (16, 16), (200, 40, 90)).convert("CMYK").save(tmp_path / "ink.jpg", quality=100)
    assert np.abs(np.asarray(load_image(tmp_path / "ink.jpg"), int) - [200, 40, 90]).max() <= 4


def test_grey_arrays_are_repeated_over_channels() -> None:
    grey = np.array([[0, 255]], np.uint8)
    assert torch.equal(load_pixels(grey), load_pixels(grey[..., None]))
    assert load_pixels(grey)[:, 0, 1].tolist() == [1, 1, 1]


def test_split_images_finds_the_single_images(picture: np.ndarray) -> None:
    assert len(split_images(torch.zeros(5, 3, 2, 2))) == 5
    assert len(split_images(np.zeros((4, 2, 2, 3), np.uint8))) == 4
    assert len(split_images(torch.zeros(3, 2, 2))) == len(split_images(picture)) == len(split_images("a.png")) == 1
    assert split_images(["a.png", "b.png"]) == ["a.png", "b.png"]
    assert split_images([]) == []


def test_the_right_size_passes_unchanged() -> None:
    pixels = torch.rand(3, 32, 32)
    assert torch.equal(fit(pixels, Bucket(32, 32)), pixels)


def test_fit_covers_the_bucket_and_crops_the_centre() -> None:
    wide = torch.zeros(3, 8, 32)
    wide[:, :, 8:24] = 1.0
    assert torch.equal(fit(wide, Bucket(16, 8)), torch.ones(3, 8, 16))
    tall = fit(torch.rand(3, 100, 33), Bucket(16, 24))
    assert tall.shape == (3, 24, 16)
    assert 0 <= tall.min() <= tall.max() <= 1


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (7, 3)])
def test_fit_takes_any_shape_and_keeps_a_constant(size: tuple[int, int]) -> None:
    torch.testing.assert_close(fit(torch.full((3, *size), 0.25), Bucket(24, 40)), torch.full((3, 40, 24), 0.25))


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.png: no such image file"):
        load_image(tmp_path / "nowhere.png")


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_truncated_files_are_named(form: str, tmp_path: Path) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    whole = as_bytes(noise, form)
    (tmp_path / "cut.img").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"cut\.img: not a readable image"):
        load_image(tmp_path / "cut.img")


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n"])
def test_garbage_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "garbage.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"garbage\.png: not a readable image"):
        load_image(tmp_path / "garbage.png")
    with pytest.raises(ValueError, match=f"image of {len(content)} bytes"):
        load_image(content)


def test_a_folder_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a readable image"):
        load_image(tmp_path)


@pytest.mark.parametrize("side", [12_000, 60_000])
def test_decompression_bombs_are_refused(side: int, tmp_path: Path) -> None:
    def chunk(tag: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + tag + body + struct.pack(">I", zlib.crc32(tag + body))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b""))
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    with pytest.raises(ValueError, match=r"bomb\.png: not a readable image"):
        load_image(tmp_path / "bomb.png")


def test_the_pixel_limit_holds_for_pil_images_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dina_lrm.pictures.files.MAX_PIXELS", 10)
    with pytest.raises(ValueError, match="4x3 pixels; at most 10"):
        load_image(Image.new("RGB", (4, 3)))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.zeros(4, 2, 2), r"shape \(4, 2, 2\); accepted: \(3, height, width\)"),
        (torch.zeros(2, 2), r"shape \(2, 2\)"),
        (torch.zeros(3, 0, 2), r"shape \(3, 0, 2\)"),
        (torch.zeros(3, 2, 2, dtype=torch.int64), "dtype torch.int64"),
        (torch.full((3, 2, 2), torch.nan), "non-finite"),
        (torch.full((3, 2, 2), -1.0), r"\[-1, -1\]; accepted: \[0, 1\]"),
        (torch.full((3, 2, 2), 255.0), r"\[255, 255\]; accepted"),
        (np.zeros((3, 2, 2), np.uint8), r"shape \(3, 2, 2\); accepted: \(height, width\)"),
        (np.zeros((2, 0, 3), np.uint8), r"shape \(2, 0, 3\)"),
        (np.zeros((2, 2, 3), np.int64), "dtype int64"),
        (np.full((2, 2, 3), np.inf), "non-finite"),
    ],
)
def test_wrong_tensors_and_arrays_say_what_is_accepted(image: torch.Tensor | np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_image(image)


def test_to_pixels_needs_an_image() -> None:
    with pytest.raises(ValueError, match="no images given"):
        to_pixels([], Bucket(8, 8))
