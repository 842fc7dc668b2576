import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dina_lrm.data.checking import Problem
from dina_lrm.data.checking import check_comparisons as check_rows
from dina_lrm.data.comparison import Comparison
from dina_lrm.data.sources import source_rows, write_comparisons


def check_comparisons(path, **more):
    return check_rows(lambda: source_rows("ours", path), **more)


@pytest.fixture
def folder(tmp_path):
    for name, size, colour in (
        ("a", (32, 32), "red"),
        ("b", (32, 32), "blue"),
        ("c", (48, 32), "red"),
        ("d", (32, 32), "red"),
    ):
        Image.new("RGB", size, colour).save(tmp_path / f"{name}.png")
    (tmp_path / "corrupt.png").write_bytes(b"no image")
    return tmp_path


def pair(folder, a, b, preference=1.0, prompt="a red cube", source=None):
    return Comparison(prompt, folder / f"{a}.png", folder / f"{b}.png", preference, source=source)


def test_a_clean_file_is_described(folder):
    path = folder / "pairs.jsonl"
    pairs = [pair(folder, "a", "b"), pair(folder, "a", "c", 0.5), pair(folder, "b", "c", 0.2, "ball", "mine")]
    write_comparisons(path, pairs)
    seen = []
    report = check_comparisons(path, progress=lambda *done: seen.append(done))
    assert (report.rows, report.pairs, report.ties, report.soft) == (3, 3, 1, 1)
    assert (report.images, report.sizes) == (3, {"32x32": 2, "48x32": 1})
    assert (report.prompts, report.words, report.comparisons_per_prompt) == (2, (1, 2.0, 3), (1, 1.5, 2))
    assert (report.first_preferred, report.sources, report.problems) == (0.5, {"mine": 1}, ())
    assert seen[-1] == (3, 3)


def test_everything_that_is_wrong_is_listed_and_reading_goes_on(folder):
    path = folder / "pairs.jsonl"
    pairs = [
        pair(folder, "a", "b"),
        pair(folder, "b", "a", 0.0),
        pair(folder, "b", "a", 0.9),
        pair(folder, "a", "a"),
        pair(folder, "a", "absent"),
        pair(folder, "corrupt", "absent"),
        pair(folder, "a", "b", prompt="another prompt"),
    ]
    write_comparisons(path, pairs)
    with path.open("a") as file:
        file.write("not json\n" + json.dumps({"prompt": "p"}) + "\n")
    report = check_comparisons(path)
    assert (report.rows, report.pairs) == (9, 7)
    found = {(problem.fault, problem.where.removeprefix(str(path))) for problem in report.problems}
    assert found == {
        ("duplicate", ", line 2"),
        ("contradiction", ", line 3"),
        ("same image", ", line 4"),
        ("missing image", str(folder / "absent.png")),
        ("corrupt image", str(folder / "corrupt.png")),
        ("row", ", line 8"),
        ("row", ", line 9"),
    }
    assert Problem("missing image", str(folder / "absent.png"), "no such image file") in report.problems
    assert [problem.reason for problem in report.problems if problem.where.endswith("line 9")] == [
        "no column image_a, image_b, preference; found: prompt; required: prompt, image_a, image_b, preference "
        "(other names are mapped by --columns)"
    ]
    assert (report.missing_images, report.corrupt_images) == (1, 1)


def test_the_same_picture_under_two_names_is_counted(folder):
    path = folder / "pairs.parquet"
    write_comparisons(path, [pair(folder, "a", "b"), pair(folder, "d", "b")], embed_images=False)
    assert check_comparisons(path).same_content == 1


def test_nothing_but_bad_rows(folder):
    path = folder / "pairs.jsonl"
    path.write_text("{}\n")
    report = check_comparisons(path)
    assert (report.rows, report.pairs, report.words, report.first_preferred) == (1, 0, None, None)


def test_what_is_no_table_is_refused(folder):
    with pytest.raises(ValueError, match="unknown format"):
        check_comparisons(folder / "a.png")


def test_images_of_every_kind_are_read_or_named(tmp_path):
    """Modes are converted, EXIF turns the picture, and what is cut off or claims to be enormous is corrupt."""
    picture = Image.effect_noise((16, 8), 60).convert("RGB")
    turned = Image.Exif()
    turned[0x0112] = 6
    picture.convert("CMYK").save(tmp_path / "cmyk.jpg")
    picture.convert("P").save(tmp_path / "palette.png")
    picture.convert("RGBA").save(tmp_path / "alpha.png")
    Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) << 8).save(tmp_path / "deep.png")
    picture.save(tmp_path / "turned.jpg", exif=turned)
    picture.save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:-60])
    Image.new("1", (12_000, 12_000)).save(tmp_path / "bomb.png")
    names = ["cmyk.jpg", "palette.png", "alpha.png", "deep.png", "turned.jpg", "cut.png", "bomb.png"]
    rows = [{"prompt": name, "image_a": "whole.png", "image_b": name, "preference": 1} for name in names]
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    report = check_comparisons(tmp_path / "pairs.jsonl")
    assert (report.pairs, report.images, report.missing_images, report.corrupt_images) == (7, 8, 0, 2)
    assert report.sizes == {"16x8": 5, "8x16": 1}
    reasons = {Path(problem.where).name: problem.reason for problem in report.problems}
    assert reasons.keys() == {"cut.png", "bomb.png"}
    assert "89478485" in reasons["bomb.png"]
