"""Every kind of place gives the pairs that lie there, and says what it leaves out."""

import itertools
import json
import os

import numpy as np
import pytest
from PIL import Image

from dina_lrm.collecting.candidates.kinds import KINDS, kind_of, open_candidates
from dina_lrm.collecting.settings import AnnotateSettings
from dina_lrm.images import load_image
from tests.data.votes.drawn import pictures, png


def names(found):
    return {frozenset((pair.first.name, pair.second.name)) for pair in found.pairs}


def test_a_folder_gives_every_two_pictures_of_one_prompt(tmp_path):
    pictures(tmp_path / "f", 5)
    for number in range(5):
        (tmp_path / "f" / f"{number}.txt").write_text("a ring" if number < 3 else f"number {number}")
    settings = AnnotateSettings(str(tmp_path / "f"))
    found = open_candidates(settings)
    assert kind_of(settings) == "pictures" and found.count == 3
    assert names(found) == {frozenset(pair) for pair in itertools.combinations(("0.png", "1.png", "2.png"), 2)}
    assert found.told() == ["2 left out: the only picture of its prompt (such as 3.png)"]
    all_together = open_candidates(AnnotateSettings(str(tmp_path / "f"), prompt="a picture"))
    assert all_together.count == 10 and {pair.prompt for pair in all_together.pairs} == {"a picture"}


def test_a_folder_without_prompts_is_compared_as_a_picture_and_strange_names_are_kept(tmp_path):
    pictures(tmp_path / "f", 2)
    os.rename(os.fsencode(tmp_path / "f" / "0.png"), os.fsencode(tmp_path / "f") + b"/caf\xe9.png")
    (tmp_path / "f" / "notes.pdf").write_bytes(b"")
    found = open_candidates(AnnotateSettings(str(tmp_path / "f")))
    (pair,) = found.pairs
    assert pair.prompt == "a picture" and pair.first.is_file() and pair.second.is_file()
    assert any("no captions" in note for note in found.notes) and any("1 left out" in note for note in found.notes)


def test_two_folders_give_pictures_of_one_name(tmp_path):
    pictures(tmp_path / "mine", 3)
    pictures(tmp_path / "yours", 2)
    (tmp_path / "yours" / "1.png").rename(tmp_path / "yours" / "1.webp")
    (tmp_path / "yours" / "other.png").write_bytes(png(9))
    settings = AnnotateSettings(str(tmp_path / "mine"), tmp_path / "yours")
    found = open_candidates(settings)
    assert kind_of(settings) == "two folders" and found.title == "mine against yours"
    assert names(found) == {frozenset(("0.png",)), frozenset(("1.png", "1.webp"))}
    assert len(found.told()) == 2 and "only in" in found.told()[0]
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="no picture has the same name in both"):
        open_candidates(AnnotateSettings(str(tmp_path / "mine"), tmp_path / "none"))


def test_a_file_of_comparisons_gives_its_pairs_without_their_answers(tmp_path):
    first, second = pictures(tmp_path, 2)
    row = {"prompt": "a ring", "image_a": first.name, "image_b": second.name, "preference": 1.0}
    (tmp_path / "mine.jsonl").write_text(json.dumps(row) + "\n")
    settings = AnnotateSettings(str(tmp_path / "mine.jsonl"))
    (pair,) = open_candidates(settings).pairs
    assert kind_of(settings) == "comparisons" and pair.prompt == "a ring"
    assert {pair.first, pair.second} == {first, second}


def test_the_looks_of_a_run_are_compared_with_the_first_the_newest_before(tmp_path):
    (tmp_path / "samples").mkdir()
    for step in (0, 20, 100):
        drawn = np.full((2, 16, 16, 3), step, np.uint8)
        np.savez_compressed(tmp_path / "samples" / f"step-{step}.npz", images=drawn, prompts=np.array(["a", "b"]))
    (tmp_path / "samples" / "step-20.npz").write_bytes(b"torn")
    settings = AnnotateSettings(str(tmp_path))
    found = open_candidates(settings)
    pairs = list(found.pairs)
    assert kind_of(settings) == "looks" and {pair.prompt for pair in pairs} == {"a", "b"}
    assert {pair.source for pair in pairs} == {"step 0 against step 100"}
    assert load_image(pairs[0].second).getpixel((0, 0)) == (100, 100, 100)
    assert "step-20.npz: cannot be read" in found.told()[0]
    (tmp_path / "samples" / "step-100.npz").unlink()
    (tmp_path / "samples" / "step-20.npz").unlink()
    with pytest.raises(ValueError, match="1 looks in samples; accepted: a run with at least two"):
        open_candidates(settings)


@pytest.mark.slow
def test_the_bundled_generator_draws_as_it_is_asked():
    settings = AnnotateSettings("synthetic", seed=1)
    found = open_candidates(settings)
    first, second = itertools.islice(found.pairs, 2)
    assert kind_of(settings) == "generator" and first.prompt != second.prompt and first.first != first.second
    assert load_image(first.first).size == (32, 32)
    again = next(iter(open_candidates(settings).pairs))
    assert (again.prompt, again.first, again.second) == (first.prompt, first.first, first.second)


def test_a_place_that_is_none_says_what_is(tmp_path):
    with pytest.raises(ValueError, match="not there, or nothing to vote on") as error:
        open_candidates(AnnotateSettings(str(tmp_path / "nothing")))
    assert all(kind.about in str(error.value) for kind in KINDS.values())
    Image.new("RGB", (16, 16)).save(tmp_path / "alone.png")
    with pytest.raises(ValueError, match="no two of 1 pictures"):
        open_candidates(AnnotateSettings(str(tmp_path)))
