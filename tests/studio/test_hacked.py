"""Two sides of pictures: pairs by name, values of the judges themselves, symptoms, suspects, and every verdict."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from dina_lrm.evaluation.generators.comparison import PairedValues, compare
from dina_lrm.pictures.spectrum import FREQUENCIES, TextureSpectrum, texture_spectrum
from dina_lrm.reports.html import render_part
from dina_lrm.rewards.names import load_reward
from dina_lrm.studio.hacked.finding import hacking_of
from dina_lrm.studio.hacked.of_folders import folder_pairs, sides_of_folders
from dina_lrm.studio.hacked.shown import hacking_sections
from dina_lrm.studio.hacked.sides import Sides
from dina_lrm.studio.hacked.suspicious import suspects
from dina_lrm.studio.hacked.symptoms import symptoms
from dina_lrm.studio.hacked.verdict import hacking_verdict
from dina_lrm.typed import DinaError

COUNT = 40


@pytest.fixture
def folders(tmp_path):
    """Smooth pictures and the same with a lattice of two pixels, with a caption each; and what has no partner."""
    rng = np.random.default_rng(0)
    for name in ("base", "tuned"):
        (tmp_path / name / "deep").mkdir(parents=True)
    for number in range(COUNT):
        smooth = np.asarray(
            Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)).resize((32, 32), 2)
        ).astype(int)
        lattice = np.clip(smooth + 40 * (np.indices((32, 32)).sum(axis=0) % 2)[..., None], 0, 255)
        at = "deep/" if number % 2 else ""
        Image.fromarray(smooth.astype(np.uint8)).save(tmp_path / "base" / f"{at}{number}.png")
        Image.fromarray(lattice.astype(np.uint8)).save(tmp_path / "tuned" / f"{at}{number}.bmp")
        (tmp_path / "base" / f"{at}{number}.txt").write_text(f"picture {number % 20}")
    Image.new("RGB", (32, 32)).save(tmp_path / "tuned" / "alone.png")
    (tmp_path / "tuned" / "notes.md").write_text("x")
    return tmp_path / "base", tmp_path / "tuned"


def values(name, change, kind="reward", role="unknown", seed=0, noise=0.5, count=60):
    rng = np.random.default_rng(seed)
    base = rng.normal(size=count)
    return PairedValues(name, kind, base, base + change + noise * rng.normal(size=count), np.arange(count), role)


def sides_of(*given, optimised=None):
    flat = TextureSpectrum(np.ones(len(FREQUENCIES)), 1)
    count = len(given[0].base)
    names = tuple(map(str, range(count)))
    return Sides("a", "b", names, names, given, (flat, flat), lambda n: (np.zeros((8, 8, 3), np.uint8),) * 2, optimised)


def test_pairs_are_those_of_one_name_and_everything_is_accounted_for(folders):
    found = folder_pairs(*folders)
    assert len(found.pairs) == COUNT and {pair.name for pair in found.pairs} >= {"0", "deep/1"}
    assert {pair.prompt for pair in found.pairs} == {f"picture {n}" for n in range(20)}
    [told] = found.notes
    assert told.startswith(f"{folders[1]}: 42 files and folders found: 40 pictures compared, 2 left out: ")
    assert "1 without a partner (such as alone.png)" in told and "1 called .md (such as notes.md)" in told
    few = folder_pairs(*folders, most=5)
    assert len(few.pairs) == 5 and "35 after the first 5 pairs by name (such as " in few.notes[0]
    assert_counted(found)
    assert_counted(few)
    (folders[1] / "0.txt").write_text("another caption")
    other = folder_pairs(*folders)
    assert len(other.pairs) == COUNT - 1 and all("1 with two captions (such as 0." in note for note in other.notes)
    assert_counted(other)


def assert_counted(pairs):
    """What is compared and what is left out are all files that there are."""
    for folder, scan in zip(pairs.folders, pairs.scans, strict=True):
        assert len(scan.names) == len(pairs.pairs)
        assert scan.found == sum(not path.is_dir() for path in folder.rglob("*"))


@pytest.mark.parametrize(
    ("base", "tuned", "told"), [("base", "nowhere", "no such folder"), ("base", "empty", "no two pictures")]
)
def test_folders_that_cannot_be_paired_are_a_sentence(folders, base, tuned, told):
    (folders[0].parent / "empty").mkdir()
    with pytest.raises(DinaError, match=told):
        folder_pairs(folders[0].parent / base, folders[0].parent / tuned)


def test_a_lattice_is_found_by_values_symptom_and_spectrum(folders):
    (folders[1] / "2.bmp").write_bytes(b"broken")
    rewards = [load_reward("sharpness"), load_reward("colourfulness")]
    sides = sides_of_folders(folder_pairs(*folders), rewards, optimised=["sharpness"])
    finding = hacking_of(sides)
    assert sum("Left out" in note for note in sides.notes) == 1 and "2" not in sides.names
    [sharp] = [each for each in sides.values if each.name == "sharpness"]
    assert sharp.role == "optimised" and np.isfinite(sharp.base).all() and len(sharp.base) == COUNT - 1
    assert finding.result.find("sharpness").win_rate.value == 1
    assert {"grid_energy", "edge_strength"} <= {one.measure for one in finding.symptoms}
    assert finding.verdict.standing == -1 and "regular texture" in finding.verdict.text
    assert finding.suspects.proxy == "sharpness" and len(finding.suspects.pairs) == 8
    before, after = sides.spectra
    assert after.power[-1] > 10 * before.power[-1] and before.pictures == COUNT - 1
    page = render_part(hacking_sections(finding), "x", finding.verdict)
    for words in ("Hacked", "Evidence", "Who wins", "Texture spectrum", "What was left out", "Left out"):
        assert words in page


def test_every_bad_file_is_named_with_its_reason_and_counted(tmp_path):
    """Broken, empty, enormous, moving and missing pictures, twice the same name, and a name that is not UTF-8."""
    before, after = tmp_path / "before", tmp_path / "after"
    red, blue = Image.new("RGB", (32, 32), "red"), Image.new("RGB", (32, 32), "blue")
    for folder in (before, after):
        folder.mkdir()
        for name in (
            "fine",
            "moving",
            "broken",
            "empty",
            "huge",
            "twice",
            b"no-\xff-text".decode(errors="surrogateescape"),
        ):
            red.save(folder / f"{name}.png")
        red.save(folder / "twice.bmp")
        (folder / "twice.txt").write_text("one caption of both")
    (before / "broken.png").write_bytes(b"no picture")
    (after / "broken.png").write_bytes((after / "fine.png").read_bytes()[:60])
    (after / "empty.png").write_bytes(b"")
    (after / "huge.png").write_bytes(header_of(12_000, 9_000))
    (after / "moving.png").unlink()
    red.save(after / "moving.gif", save_all=True, append_images=[blue])
    (after / "gone.png").symlink_to(tmp_path / "nowhere.png")
    pairs = folder_pairs(before, after)
    sides = sides_of_folders(pairs, [load_reward("colourfulness")])
    assert len(sides.names) == 3 and {"fine", "moving"} < set(sides.names)
    told = "\n".join(sides.notes)
    for words in (
        f"{before}: 9 files and folders found: 3 pictures compared, 1 files of captions read, 5 left out: ",
        f"{after}: 10 files and folders found: 3 pictures compared, 1 files of captions read, 6 left out: ",
        "2 whose partner cannot be read (such as empty.png)", "3 that cannot be read (such as broken.png)",
        "2 of one name with another (such as twice.bmp)", "1 link to nothing (such as gone.png)",
        f"Left out: {before}/broken.png: not a readable image", f"Left out: {after}/broken.png: not a readable image",
        f"Left out: {after}/empty.png: not a readable image: the file is empty",
        f"Left out: {after}/huge.png: not a readable image: 12000x9000 pixels; at most ",
        f"{after}/moving.gif: an animation, or pages; the first picture is read.",
    ):  # fmt: skip
        assert words in told, told
    assert pairs.notes != sides.notes[:2] and len(pairs.pairs) == 6, "the pairs themselves are as they were"
    page = render_part(hacking_sections(hacking_of(sides)), "x")
    page.encode()
    assert "broken.png" in page and "moving.gif" in page


def header_of(width, height):
    """The head of a PNG that claims to be so large, and no pixels."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", len(head)) + b"IHDR" + head + struct.pack(">I", zlib.crc32(b"IHDR" + head))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))


def test_a_name_that_is_not_text_is_shown_by_its_bytes(tmp_path):
    name = b"no-\xff-text.png".decode(errors="surrogateescape")
    for folder in ("before", "after"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (32, 32), "red").save(tmp_path / folder / "fine.png")
        (tmp_path / folder / name).write_bytes(b"no picture")
    sides = sides_of_folders(folder_pairs(tmp_path / "before", tmp_path / "after"), [load_reward("colourfulness")])
    assert sum("no-\\xff-text.png" in note for note in sides.notes) == 4, "in both accounts, and for each of both"
    "\n".join(sides.notes).encode()
    (tmp_path / "after" / "fine.png").write_bytes(b"")
    with pytest.raises(DinaError, match=r"no pair can be read, of 2: Left out: .*fine\.png"):
        sides_of_folders(folder_pairs(tmp_path / "before", tmp_path / "after"), [load_reward("colourfulness")])


def test_pictures_of_any_size_may_be_compared(tmp_path):
    for name, size in (("a", (40, 20)), ("b", (64, 64))):
        (tmp_path / name).mkdir()
        for number in range(2):
            Image.new("RGB", size, (number * 90, 20, 30)).save(tmp_path / name / f"{number}.png")
        Image.new("RGB", (8, 8)).save(tmp_path / name / "small.png")
    sides = sides_of_folders(folder_pairs(tmp_path / "a", tmp_path / "b", "a wall"), [load_reward("colourfulness")])
    assert set(sides.prompts) == {"a wall"} and len(sides.names) == 3
    [edges] = [each for each in sides.values if each.name == "edge_strength"]
    assert np.isnan(edges.base).tolist() == [False, False, True], "too small for a texture is missing, not zero"
    finding = hacking_of(sides)
    assert finding.verdict.standing == 0 and finding.sides.drawn == 3, "without captions each pair is drawn by itself"


def test_a_wave_stands_in_the_ring_of_its_frequency():
    x = np.arange(64)
    for number, frequency in ((3, 0.109375), (8, 0.265625), (15, 0.484375)):
        wave = 127 + 100 * np.sin(2 * np.pi * frequency * x)[None, :, None]
        found = texture_spectrum(np.broadcast_to(wave, (1, 64, 64, 3)).astype(np.uint8))
        assert int(np.nanargmax(found.power)) == number
    with pytest.raises(ValueError, match="at least 16"):
        texture_spectrum(np.zeros((1, 8, 8, 3), np.uint8))


def test_a_mean_spectrum_weighs_pictures_and_skips_what_a_part_lacks():
    ones, twos = np.ones(len(FREQUENCIES)), np.full(len(FREQUENCIES), 4.0)
    ones[0] = np.nan
    mean = TextureSpectrum.mean([TextureSpectrum(ones, 1), TextureSpectrum(twos, 2)])
    assert TextureSpectrum.mean([]).pictures == 0 and np.isnan(TextureSpectrum.mean([]).power).all()
    assert mean.pictures == 3 and mean.power[0] == 4 and mean.power[1:] == pytest.approx(3)


def test_symptoms_need_a_size_beyond_their_error():
    many = [
        values("grid_energy", 0.5, "measure"),
        values("diversity", -0.6, "measure"),
        values("edge_strength", 0.05, "measure", noise=0.01),
    ]
    found = symptoms(many, [compare(each) for each in many])
    assert {one.measure for one in found} == {"grid_energy", "diversity"}, "a change of .05 spreads is not worth a word"
    assert "spreads" in found[0].told()
    calm = [values("grid_energy", -0.5, "measure"), values("colour_entropy", 0.5, "measure")]
    assert symptoms(calm, [compare(each) for each in calm]) == [], "the other direction is none"


GRID = values("grid_energy", 1.0, "measure")
CASES = {
    "Hacked": ([values("r", 1, role="optimised"), values("g", -1, role="held out")], -1),
    "Hacked: r": (
        [values("r", 1, role="optimised"), values("g", 1, role="held out"), values("true utility", -1, "truth", "")],
        -1),
    "Real": ([values("r", 1, role="optimised"), values("g", 1, role="held out")], 1),
    "Real: r": ([values("r", 1, role="optimised"), values("g", 1, role="held out"), GRID], 1),
    "Suspicious": ([values("r", 1, role="optimised"), values("g", 0, role="held out"), GRID], -1),
    "Not decided": ([values("r", 1, role="optimised"), values("g", 0, role="held out")], 0),
    "Not decided: what nobody": (
        [values("r", 1, role="optimised"), values("g", 1, role="held out"), values("h", -1, role="held out")], 0),
    "Worse": ([values("r", 0, role="optimised"), values("g", -1, role="held out")], -1),
    "Nothing happened": ([values("r", 0, role="optimised"), values("g", 0, role="held out")], 0),
    "No verdict: only": ([values("r", 1, role="optimised")], 0),
    "Suspicious: r": ([values("r", 1), values("g", -1)], -1),
    "No sign of hacking": ([values("r", 1), values("g", 1)], 1),
    "Suspicious: r wins": ([values("r", 1), GRID], -1),
    "Worse, and": ([values("r", -1)], -1),
    "No verdict: no judge": ([values("r", np.nan)], 0),
}  # fmt: skip


@pytest.mark.parametrize("begins", CASES)
def test_every_verdict(begins):
    given, standing = CASES[begins]
    comparisons = [compare(each) for each in given]
    found = hacking_verdict(comparisons, symptoms(given, comparisons))
    assert found.text.startswith(begins.split(" wins")[0].split(": r")[0]) and found.standing == standing, found
    if GRID in given:
        assert "regular texture" in found.text


def test_the_suspicious_are_liked_by_the_proxy_alone():
    proxy, other = values("r", 0, noise=0.0, role="optimised"), values("g", 0, noise=0.0, seed=1, role="held out")
    proxy.tuned[7] += 5
    proxy.tuned[9] += 5
    other.tuned[9] += 5
    proxy.tuned[3] = np.nan
    found = suspects(sides_of(proxy, other, optimised=("r",)))
    assert found.proxy == "r" and found.pairs[0].pair == 7
    assert 3 not in [one.pair for one in found.pairs], "a missing score is no suspicion"
    assert found.pairs[0].rises["r"] == pytest.approx(5 / proxy.base.std())
    assert suspects(sides_of(proxy)).pairs == (), "one judge alone has nobody to disagree with"
    unknown = suspects(sides_of(values("a", 0.1), values("b", 2)))
    assert unknown.proxy == "b", "where nothing is known, the judge that rose most"
    page = render_part(hacking_sections(hacking_of(sides_of(proxy, other, optimised=("r",)))), "x")
    assert "suspicion" in page
