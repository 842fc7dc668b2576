"""Every filter says what it removed; MPCF follows the published gaps and is keyed by image, never by row."""

import pytest
from PIL import Image

from dina_lrm.data.comparison import Comparison, image_key
from dina_lrm.data.filtering import (
    ConsistentPreference,
    Criterion,
    Deduplicate,
    DropTies,
    Filtered,
    MinimumConfidence,
    MinimumVotes,
    NotIn,
    PairsPerPrompt,
)
from dina_lrm.rewards.heuristics import Sharpness
from dina_lrm.rewards.image_scores import score_images


def pair(a="a.png", b="b.png", preference=1.0, prompt="p", **more):
    return Comparison(prompt, a, b, preference, **more)


def kept(filters, *pairs):
    found = Filtered(pairs, filters)
    return list(found), found.report()


def test_filters_run_in_order_and_each_sees_what_the_last_kept():
    pairs = [pair(preference=0.5), pair(), pair("b.png", "a.png", 0.0), pair("c.png"), pair("d.png")]
    left, report = kept([DropTies(), Deduplicate(), PairsPerPrompt(2)], *pairs)
    assert left == [pairs[1], pairs[3]]
    assert [(row.name, row.seen, row.removed) for row in report] == [
        ("ties", 5, 1),
        ("duplicates", 4, 1),
        ("pairs of a prompt", 3, 1),
    ]
    assert report[1].reasons == {"judged before": 1}


def test_contradictions_are_told_from_repetitions():
    _, (row,) = kept([Deduplicate()], pair(), pair(preference=0.2), pair("a.png", "a.png"), pair(prompt="other"))
    assert row.reasons == {"judged the other way before": 1, "an image against itself": 1}


def test_confidence_and_votes():
    pairs = [pair(confidence=0.9), pair(confidence=0.5), pair(), pair(votes=3, preference=2 / 3), pair(votes=20)]
    assert kept([MinimumConfidence(0.8)], *pairs)[0] == [pairs[0], *pairs[2:]]
    assert kept([MinimumConfidence(0.8, required=True)], *pairs)[0] == pairs[:1]
    left, (row,) = kept([MinimumVotes(3, agreement=0.7)], *pairs)
    assert left == pairs[4:]
    assert row.reasons == {"votes not known": 3, "agreement below 0.7": 1}
    for bad in (lambda: MinimumConfidence(2.0), lambda: MinimumVotes(0), lambda: PairsPerPrompt(0)):
        with pytest.raises(ValueError, match="accepted"):
            bad()


def test_leakage_is_found_by_prompt_and_by_image():
    test = [pair("t.png", "u.png", prompt="A  Red cube")]
    pairs = [pair(prompt="a red CUBE "), pair("x.png", "t.png", prompt="q"), pair(prompt="r")]
    left, (row,) = kept([NotIn(test)], *pairs)
    assert left == pairs[2:]
    assert row.reasons == {"prompt of the test set": 1, "image of the test set": 1}


def test_a_copy_of_a_test_image_under_another_name_is_found(tmp_path):
    for name, colour in (("t", "red"), ("copy", "red"), ("other", "blue")):
        Image.new("RGB", (4, 4), colour).save(tmp_path / f"{name}.png")
    test = [pair(tmp_path / "t.png", tmp_path / "gone.png", prompt="test")]
    pairs = [
        pair(tmp_path / "copy.png", tmp_path / "other.png"),
        pair((tmp_path / "t.png").read_bytes(), "x.png"),
        pair(tmp_path / "other.png", "x.png"),
    ]
    left, (row,) = kept([NotIn(test, "leakage, test")], *pairs)
    assert left == pairs[2:]
    assert (row.name, row.reasons) == ("leakage, test", {"image of the test set": 2})


def table(**scores):
    return {(image_key(f"{name}.png"), "p"): value for name, value in scores.items()}


@pytest.mark.parametrize(("strength", "passes"), [("strict", False), ("default", True), ("loose", True)])
def test_mpcf_lets_the_winner_be_a_little_behind_on_aesthetics(strength, passes):
    alike = table(a=1.0, b=0.5)
    chosen = ConsistentPreference.of(table(a=5.0, b=5.4), alike, alike, strength)
    assert bool(kept([chosen], pair())[0]) == passes
    assert bool(kept([chosen], pair().swapped())[0]) == passes, "which image is called the first does not matter"


def test_mpcf_names_the_criterion_that_disagrees():
    ahead, behind, equal = table(a=1.0, b=0.0), table(a=0.0, b=1.0), table(a=1.0, b=1.01)
    chosen = ConsistentPreference.of(ahead, behind, ahead)
    assert kept([chosen], pair())[1][0].reasons == {"clip disagrees": 1}
    assert kept([chosen], pair("c.png"))[1][0].reasons == {"no aesthetic score": 1}
    ties = ConsistentPreference.of(equal, equal, equal)
    assert kept([ties], pair(preference=0.5))[0] == [pair(preference=0.5)]
    assert kept([chosen], pair(preference=0.5))[1][0].reasons == {"aesthetic tells a tie apart": 1}
    with pytest.raises(ValueError, match="accepted: strict, default, loose"):
        ConsistentPreference.of(ahead, ahead, ahead, "soft")
    with pytest.raises(ValueError, match="no criteria"):
        ConsistentPreference([])


def test_scores_of_a_real_reward_filter_real_images_in_any_order(tmp_path):
    flat, board = tmp_path / "flat.png", tmp_path / "board.png"
    Image.new("RGB", (8, 8), "grey").save(flat)
    Image.effect_noise((8, 8), 80).convert("RGB").save(board)
    pairs = [pair(flat, board), pair(board, flat), pair(board, tmp_path / "gone.png")]
    scores = score_images(pairs, Sharpness(), batch_size=1)
    assert set(scores) == {(image_key(path), "p") for path in (flat, board)}
    chosen = ConsistentPreference([Criterion("sharpness", scores)])
    assert kept([chosen], *pairs)[0] == [pairs[1]]
    assert kept([chosen], *pairs[::-1])[0] == [pairs[1]]
    _, (row,) = kept([chosen], *pairs)
    assert row.reasons == {"sharpness disagrees": 1, "no sharpness score": 1}
