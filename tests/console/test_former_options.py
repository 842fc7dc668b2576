"""Commands that were written for earlier versions mean what they meant."""

import pytest

from dina_lrm.cli.arguments.train import Arguments
from dina_lrm.console.common import UserError
from dina_lrm.console.former_options import with_sampler
from dina_lrm.console.words import parsed

LEVELS = "--objective.noise-levels"


@pytest.mark.parametrize(
    ("former", "today"),
    [
        (["name", "logit_normal", "mu", "0.8", "s", "1"], "logit_normal:mu=0.8,s=1"),
        (["name", "logit_normal", "low", "None", "high", "None", "mu", "0"], "logit_normal:mu=0"),
        (["name=constant", "level=0.4"], "constant:level=0.4"),
        (["high", "0.5"], "uniform:high=0.5"),
        (["name", "uniform"], "uniform"),
    ],
)
def test_a_distribution_in_several_options_is_one(former, today):
    words = [
        word if word[0].isdigit() or word in ("None", "logit_normal", "uniform") else f"{LEVELS}.{word}"
        for word in former
    ]
    begun = ["synthetic", "--data", "d", *words, "--out", "o"]
    found = parsed("train", Arguments, begun)
    wanted = parsed("train", Arguments, ["synthetic", "--data", "d", "--out", "o", f"{LEVELS}.sampler", today])
    assert found == wanted


def test_both_ways_at_once_and_no_value_are_refused():
    with pytest.raises(UserError, match="were both given"):
        with_sampler([f"{LEVELS}.sampler", "uniform", f"{LEVELS}.low", "0.1"])
    with pytest.raises(UserError, match="no value"):
        with_sampler([f"{LEVELS}.mu"])


def test_other_words_stay_as_they_are():
    words = ["synthetic", f"{LEVELS}.together", "2", f"{LEVELS}.no-stratified", "--seed", "3"]
    assert with_sampler(words) == words
