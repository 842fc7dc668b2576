"""Prompts as open_clip reads them, by hand; what happens without the package that it needs."""

import html
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dina_lrm.rewards.judges.clip_text import open_clip_text, reading_as_open_clip
from tests.tiny import tiny_clip_tokenizer


@pytest.mark.parametrize(
    ("prompt", "cleaned"),
    [
        ("A Red  Cube\n on\ta table ", "a red cube on a table"),
        ("a dog’s “naïve” café", 'a dog\'s "naïve" café'),
        ("&lt;b&gt; fish &amp; chips", "<b> fish & chips"),
        ("fish &amp;amp; chips", "fish & chips"),
        ("<b>fish &amp; chips", "<b>fish & chips"),
        ("&eacute;t&eacute;", "été"),
        ("ﬁne ﬂat Ａｂ１", "fine flat ab1"),
        ("sch\u00c3\u00b6n", "schön"),
        ("cafe\u0301", "caf\u00e9"),
        ("a\u3000b\u00a0c", "a b c"),
        ("ÀÉÎ", "àéî"),
        ("", ""),
    ],
)
def test_a_prompt_is_mended_unescaped_and_lowered(prompt, cleaned):
    assert open_clip_text(prompt) == cleaned


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="&"), max_size=40))
def test_plain_prompts_need_no_package(prompt):
    """ftfy leaves them as they are."""
    import ftfy

    assert ftfy.fix_text(prompt) == prompt
    assert open_clip_text(prompt) == " ".join(html.unescape(prompt).lower().split())


def test_without_the_package_a_prompt_that_needs_it_is_refused_and_others_are_read(monkeypatch):
    monkeypatch.setitem(sys.modules, "ftfy", None)
    assert open_clip_text("A red cube, isn't it?") == "a red cube, isn't it?"
    for prompt in ("a dog’s tail", "fish &amp; chips", "a\x1b[1m cube"):
        with pytest.raises(ValueError, match=r"the package ftfy.*pip install 'dina-lrm\[judges\]'"):
            open_clip_text(prompt)


def test_marks_of_transformers_are_text_like_any_other():
    plain, reading = tiny_clip_tokenizer(), reading_as_open_clip(tiny_clip_tokenizer())
    end = plain.eos_token_id
    assert plain("a red cube").input_ids == reading("a red cube").input_ids
    assert plain("a <|endoftext|> red").input_ids[2] == end
    pieces = reading.tokenize("a <|endoftext|> red")
    assert pieces[:1] + pieces[-1:] == ["a</w>", "red</w>"] and len(pieces) > 10
