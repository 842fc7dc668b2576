"""What is learned from and what is left out: read + left out = found, each with its reason."""

import numpy as np
import pytest
import torch

from dina_lrm.alignment.monitor.alarm import History, Series, alarms
from dina_lrm.alignment.pairs.learned import learned_pairs
from dina_lrm.alignment.pairs.left_out import LeftOut
from dina_lrm.alignment.pairs.source import Found
from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.data.cache.format import Missing
from dina_lrm.typed import DinaError

PROMPTS = ["a", "b", "too long", "shown"]


def encoded(rows):
    """Rows (prompt, bucket of a, a, bucket of b, b, preference, weight)."""
    prompt, bucket_a, a, bucket_b, b = (torch.tensor(column) for column in list(zip(*rows, strict=True))[:5])
    preference, weight = (torch.tensor(column) for column in list(zip(*rows, strict=True))[5:])
    latents = [torch.randn(8, 2, 4, width, generator=torch.Generator().manual_seed(width)) for width in (4, 8)]
    told = Conditioning(torch.zeros(len(PROMPTS), 2, 3))
    bucket = torch.stack([bucket_a, bucket_b], dim=1)
    return EncodedComparisons.from_tensors(latents, told, a, b, prompt, preference, weight, bucket, PROMPTS)


ROWS = [
    (0, 0, 0, 0, 1, 1.0, 1.0),
    (0, 0, 1, 0, 2, 0.8, 1.0),  # picture 1 lost one and wins another
    (1, 1, 0, 1, 1, 0.5, 2.0),
    (1, 0, 3, 0, 4, 0.0, 0.0),
    (1, 0, 3, 1, 4, 0.0, 1.0),
    (1, 0, 5, 0, 5, 1.0, 1.0),
    (2, 0, 6, 0, 7, 1.0, 1.0),
    (3, 0, 0, 0, 6, 1.0, 1.0),
]


def chosen(rows=ROWS, kto=False, before=0):
    found = Found(encoded(rows), LeftOut())
    found.left_out.add("before", before)
    found.data.missing = (Missing(9, None, "gone.png", "gone.png: no such file"),)
    return learned_pairs(found, lambda prompt: prompt != "too long", ["SHOWN "], kto)


def test_all_that_was_found_is_learned_from_held_or_left_out_with_its_reason():
    pairs = chosen(before=3)
    assert pairs.found == len(ROWS) + 1 + 3 and len(pairs.trained) == 3 and len(pairs.held) == 1
    assert sum(pairs.left_out.counts.values()) == pairs.found - 3
    assert sorted(pairs.left_out.counts.values()) == [1, 1, 1, 1, 1, 1, 3]
    told = pairs.told()
    for words in ("12 comparisons: 3 are learned from; 9 are not", "1 of weight 0", "two sizes", "with itself",
                  "prompts that are looked at", "longer than the text encoders", "no such file"):  # fmt: skip
        assert words in told
    assert pairs.both_sides == 1 and "1 pictures are preferred in one and not in another" in told
    assert pairs.prompts == ("a", "b")


def test_pictures_by_themselves_weigh_what_their_pair_says_of_them():
    pairs = chosen(kto=True)
    told = pairs.trained
    assert pairs.left_out.counts["ties, which say nothing of either picture alone"] == 1
    found = {(p, bucket, image, liked): weight for p, bucket, image, liked, weight in zip(
        told.prompt.tolist(), told.bucket_a.tolist(), told.image_a.tolist(), told.preference.tolist(),
        told.weight.tolist(), strict=True)}  # fmt: skip
    assert found == pytest.approx({
        (0, 0, 0, 1.0): 1.0, (0, 0, 1, 0.0): 1.0, (0, 0, 1, 1.0): 0.6, (0, 0, 2, 0.0): 0.6,
        (1, 1, 4, 1.0): 1.0, (1, 0, 3, 0.0): 1.0, (1, 0, 5, 1.0): 1.0,
    })  # fmt: skip
    assert torch.equal(told.image_a, told.image_b)


def test_nothing_left_is_an_error_that_says_why():
    with pytest.raises(DinaError, match=r"none of 3 comparisons can be learned from: .*1 of a picture with itself"):
        chosen([ROWS[5], ROWS[6]])


def test_winners_that_get_worse_sound_an_alarm_whatever_the_proxy_does():
    steps = np.arange(8.0)
    history = History(steps, Series(-steps), winners=Series(0.01 * steps))
    assert [found.kind for found in alarms(history)] == ["winners get worse"]
    better = History(steps, Series(-steps), winners=Series(0.01 * steps - 1))
    assert alarms(better) == []
