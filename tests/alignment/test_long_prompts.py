"""Prompts that are longer than the text encoders read: refused, cut or left out, and always counted."""

import pytest

from dina_lrm.alignment.long_prompts import readable_prompts
from dina_lrm.data.held_out import HeldOut
from dina_lrm.data.prompt_sets import PromptSet
from dina_lrm.generators.generator import Generator
from tests.tiny import tiny_sd3_pipeline

WORDS = "the large blue ball on the left of the green table"
"""Thirteen tokens of CLIP, which reads eight, and twelve of T5."""


def generator(t5_length=0):
    return Generator(tiny_sd3_pipeline(t5=t5_length > 0), 32, 2, 4.0, t5_length)


def held(*trained, shown=("a cube",)):
    first, then = [[f"p.txt, line {at + n}" for n, _ in enumerate(part)] for at, part in ((1, trained), (8, shown))]
    return HeldOut(PromptSet("p", trained, places=tuple(first)), PromptSet("p", shown, places=tuple(then)), 0)


def asked(prompts, what, t5_length=0):
    told, made = [], generator(t5_length)
    return readable_prompts(prompts, made, what, told.append), told, made


def test_they_are_refused_by_number_and_line_and_the_message_says_what_to_do():
    with pytest.raises(ValueError, match=r"2 of 4 prompts .*line 1, .*line 3, .*--long-prompts cut or skip"):
        asked(held(WORDS, "a ball", f"{WORDS} red"), "refuse")


def test_what_is_left_out_is_counted_in_both_parts():
    found, told, _ = asked(held(WORDS, "a ball", shown=("a cube", WORDS)), "skip")
    assert (found.trained.prompts, found.shown.prompts) == (("a ball",), ("a cube",))
    assert found.trained.places == ("p.txt, line 2",)
    assert told == [
        "2 of 4 prompts are longer than the text encoders read, and are left out: p.txt, line 1; p.txt, line 9"
    ]


def test_where_nothing_would_be_left_that_is_an_error():
    with pytest.raises(ValueError, match="all 1 prompts of a part of p are longer"):
        asked(held(WORDS), "skip")


def test_what_is_cut_is_encoded_as_the_pipeline_does():
    prompts = held(WORDS, "a ball")
    found, told, made = asked(prompts, "cut")
    assert found == prompts and "1 of 3 prompts" in told[0] and "are cut" in told[0]
    conditioning = made.encode_prompts([WORDS])
    assert conditioning.truncated is not None and "8 kept" in str(conditioning.truncated[0])


@pytest.mark.parametrize("what", ["refuse", "cut", "skip"])
def test_what_only_clip_cuts_is_none_where_t5_reads_on(what):
    prompts = held(WORDS, "a ball")
    found, told, made = asked(prompts, what, t5_length=16)
    assert found == prompts and told == [] and made.encode_prompts([WORDS]).truncated == (None,)


def test_what_t5_cuts_too_is_told_of_both():
    with pytest.raises(ValueError, match=r"tokenizer \(CLIP\): 13 tokens given, 8 kept; .*T5\): 12 tokens given, 5"):
        asked(held(WORDS), "refuse", t5_length=5)
