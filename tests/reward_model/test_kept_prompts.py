"""Prompts that are kept by their text are those that the model encodes, each once, within so many bytes."""

import pytest
import torch

from dina_lrm.backbones.prompt_rows import conditioning_bytes
from dina_lrm.reward_model.kept_prompts import KeptPrompts
from tests.models import tiny_reward_model

LONG = "the large blue ball on the left of the green table"


@pytest.fixture(scope="module")
def model(tiny_folder):
    return tiny_reward_model(tiny_folder)


@pytest.fixture
def encoded(model, monkeypatch):
    """The lists of prompts that were encoded."""
    seen, encode = [], model.encode_prompts

    def counting(prompts):
        seen.append([*prompts])
        return encode(prompts)

    monkeypatch.setattr(model, "encode_prompts", counting)
    return seen


@pytest.fixture(scope="module")
def size(model):
    return conditioning_bytes(model.encode_prompts("a red cube"))


def test_each_is_encoded_once_and_comes_in_the_order_asked(model, encoded, size):
    kept = KeptPrompts(model, 10 * size)
    rows = kept.take(["a red cube", "green table", "a red cube"])
    kept.take(["green table"])
    assert encoded == [["a red cube", "green table"]]
    for row, prompt in zip(rows, ["a red cube", "green table", "a red cube"], strict=True):
        own = model.encode_prompts(prompt)
        torch.testing.assert_close(row.conditioning.prompt_embeds, own.prompt_embeds, rtol=1e-5, atol=1e-5)
    assert (len(kept), kept.bytes) == (2, 2 * size)


def test_those_used_longest_ago_go_first(model, encoded, size):
    kept = KeptPrompts(model, 2 * size)
    kept.take(["a", "b"])
    kept.take(["a"])
    kept.take(["c"])
    kept.take(["a", "c"])
    assert encoded == [["a", "b"], ["c"]]
    kept.take(["b"])
    assert encoded[2:] == [["b"]] and kept.bytes == 2 * size


def test_a_batch_that_is_more_than_may_be_kept_is_whole(model, encoded, size):
    kept = KeptPrompts(model, size)
    assert len(kept.take(["a", "b", "c", "a"])) == 4
    assert (len(kept), kept.bytes) == (1, size)


@pytest.mark.filterwarnings("error")
def test_what_was_cut_or_not_read_stays_with_the_prompt_and_warns_nobody(model):
    kept = KeptPrompts(model, 1 << 20)
    for _ in range(2):
        whole, cut = kept.take(["a red cube", LONG])
        assert (whole.cut, whole.unread) == (None, None)
        assert "tokens given" in cut.cut
