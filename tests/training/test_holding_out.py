"""What is held out is unseen: whole prompts, else whole pictures, else pairs; nothing is lost, and it is said."""

import pytest
import torch

from dina_lrm.data.cache.pairs import PairTable
from dina_lrm.training.batching import split_by_prompt
from dina_lrm.training.holding_out import ENOUGH, _by_pair, _by_picture, hold_out, usual_fraction
from tests.training.tiny_runs import tiny_comparisons


def table(pairs):
    """Pairs of pictures of one prompt and bucket, by number."""
    first, second = zip(*pairs, strict=True)
    count = len(pairs)
    whole = {"number": range(count), "prompt": [0] * count, "bucket": [0] * count, "image_a": first, "image_b": second}
    real = {"preference": [1.0] * count, "weight": [1.0] * count}
    return PairTable.of_columns(
        {**whole, **real, **{name: [None] * count for name in ("pair_id", "prompt_id", "source")}}
    )


def every(pictures):
    return [(a, b) for a in range(pictures) for b in range(a + 1, pictures)]


def test_prompts_are_parted_as_before():
    data = tiny_comparisons(prompts=10)
    found, (rest, held) = hold_out(data, 0.3, seed=2), split_by_prompt(data, 0.3, seed=2)
    assert torch.equal(found.rest.pairs.number, rest.pairs.number)
    assert torch.equal(found.held.pairs.number, held.pairs.number)
    assert found.told == f"held out: {len(held)} of {len(data)} pairs, those of 3 prompts, which no other pair has"


@pytest.mark.parametrize("seed", range(4))
def test_held_pictures_are_in_no_other_pair(seed):
    pairs = table(every(20))
    rows, count = _by_picture(pairs, 0.1, seed)
    assert count == 1 and int(rows.sum()) == 19
    held, rest = ({*pairs.image_a[side].tolist(), *pairs.image_b[side].tolist()} for side in (rows, ~rows))
    assert len(held - rest) == count
    assert torch.equal(rows, _by_picture(pairs, 0.1, seed)[0])
    assert _by_picture(table(every(5)), 0.1, seed) is None, "two fifths of the pairs are no tenth"


def test_votes_on_the_same_two_pictures_stay_together():
    pairs = table([*every(4), *((b, a) for a, b in every(4))])
    rows = _by_pair(pairs, 0.3, 0)
    assert int(rows.sum()) == 4 and torch.equal(rows[:6], rows[6:])


@pytest.mark.parametrize("fraction", [0.05, 0.4])
def test_one_prompt_loses_no_pair_and_it_is_said(fraction):
    data = tiny_comparisons(prompts=1)
    found = hold_out(data, fraction, seed=0)
    numbers = torch.cat([found.rest.pairs.number, found.held.pairs.number])
    assert sorted(numbers.tolist()) == sorted(data.pairs.number.tolist()) and len(found.held) and len(found.rest)
    assert "there is one prompt" in found.told and f"{len(found.held)} of {len(data)} pairs" in found.told


def test_a_single_pair_cannot_be_parted():
    data = tiny_comparisons(prompts=1)
    with pytest.raises(ValueError, match=r"validation_fraction 0\.5: 1 pairs of 1 prompts cannot be parted"):
        hold_out(data.subset(torch.tensor([0])), 0.5, 0)


def test_prompts_or_pictures_are_held_out_as_asked():
    data = tiny_comparisons(prompts=10)
    by_prompt, by_image = (hold_out(data, 0.1, 3, by) for by in ("prompt", "image"))
    assert torch.equal(by_prompt.held.pairs.number, hold_out(data, 0.1, 3).held.pairs.number)
    assert "that no other pair shows" in by_image.told and "as there" not in by_image.told
    held, rest = (
        {*side.pairs.image_a.tolist(), *side.pairs.image_b.tolist()} for side in (by_image.held, by_image.rest)
    )
    assert held - rest
    with pytest.raises(ValueError, match="validation_by image: no pictures are in about 2% of the 30 pairs"):
        hold_out(data, 0.02, 3, "image")


@pytest.mark.parametrize(("pairs", "share"), [(0, 0), (ENOUGH - 1, 0), (ENOUGH, 0.1), (20_000, 0.1), (800_000, 0.0025)])
def test_a_tenth_is_held_out_of_enough_and_of_many_no_more_than_is_needed(pairs, share):
    assert usual_fraction(pairs) == share
