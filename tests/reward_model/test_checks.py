"""What is no prompt, no batch size and no seed is named with what is accepted."""

import numpy as np
import pytest

from dina_lrm.reward_model.checks import checked_batch_size, checked_prompts, checked_seed, matched_prompts


@pytest.mark.parametrize(
    ("prompts", "told"),
    [
        (None, "prompts: None was given; accepted: a text, or a list of texts"),
        (b"a ring", "prompts: a bytes was given"),
        ({"a ring": 1}, "prompts: a dict was given"),
        ({"a ring"}, "prompts: a set was given"),
        (float("nan"), "prompts: nan was given, a missing value of a table"),
        (["a ring", float("nan")], r"prompts\[1\]: nan was given, a missing value"),
        (["a ring", None], r"prompts\[1\]: None was given"),
        (["a ring", " \n"], r"prompts\[1\] is empty"),
        (["a ring", "a \ud83d"], r"prompts\[1\] holds half a character \(a lone surrogate\): a \\ud83d"),
        ("", r"prompts\[0\] is empty"),
        (["a ring"] * 3, "3 prompts for 2 images; accepted: 2 prompts, or one string"),
    ],
)
def test_what_is_no_prompt_is_named(prompts, told):
    with pytest.raises(ValueError, match=told):
        matched_prompts("score", prompts, 2)


def test_texts_of_arrays_and_one_text_for_all_are_prompts():
    assert matched_prompts("score", np.array(["a", "b"]), 2) == ["a", "b"]
    assert matched_prompts("score", iter("ab"), 2) == ["a", "b"]
    assert matched_prompts("score", "a", 3) == ["a"] * 3
    assert checked_prompts("encode_prompts", "", may_be_empty=True) == [""]


@pytest.mark.parametrize("given", [0, -1, 2.5, True, "4", None, float("nan")])
def test_a_batch_has_at_least_one_item(given):
    with pytest.raises(ValueError, match="accepted: whole numbers of at least 1"):
        checked_batch_size("score", given)
    assert checked_batch_size("score", np.int64(3)) == 3


@pytest.mark.parametrize("given", [2**64, -(2**63) - 1, 1.0, True, "4", None, float("nan")])
def test_a_seed_is_a_number_that_a_generator_takes(given):
    with pytest.raises(ValueError, match="accepted: whole numbers in"):
        checked_seed("score", given)
    assert checked_seed("score", np.int64(-3)) == -3
