"""Prompts by hash: what is kept is what was put, and what is held does not go."""

import hashlib

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.backbones.prompt_rows import conditioning_bytes, prompt_hash, rows_of
from dina_lrm.serving.problems import Problem
from dina_lrm.serving.prompts import PromptShelf


def prompt(number, tokens=2, mask=True):
    embeds = torch.full((1, tokens, 3), float(number))
    return Conditioning(embeds, torch.ones(1, 4), torch.ones(1, tokens, dtype=torch.bool) if mask else None)


def test_the_hash_is_of_names_types_shapes_and_bytes_in_order():
    told = Conditioning(torch.tensor([[[1.0, 2.0]]]), torch.tensor([[3.0]], dtype=torch.bfloat16))
    wanted = hashlib.sha256(
        b"prompt_embeds\0F32\0"
        + b"1,2\0"
        + b"\0\0\x80\x3f\0\0\0\x40"
        + b"pooled_prompt_embeds\0BF16\0"
        + b"1\0\x40\x40"
    )
    assert prompt_hash(told) == f"sha256:{wanted.hexdigest()}"


def test_other_contents_have_other_hashes():
    given = [prompt(1), prompt(2), prompt(1, 3), prompt(1, mask=False), prompt(1).to(dtype=torch.bfloat16)]
    assert len({prompt_hash(each) for each in given}) == len(given)


@given(st.lists(st.integers(0, 9), max_size=30), st.integers(1, 6))
def test_the_shelf_keeps_the_prompts_of_last_use(numbers, room):
    size = conditioning_bytes(prompt(0))
    shelf, last = PromptShelf(room * size + 1), []
    for number in numbers:
        name, new = shelf.put(prompt(number))
        assert new == (number not in last)
        last = [each for each in last if each != number][-room + 1 :] if room > 1 else []
        last.append(number)
        assert name in shelf
        assert shelf.bytes == len(shelf) * size <= shelf.most_bytes
    assert len(shelf) == len(last)
    assert all(prompt_hash(prompt(number)) in shelf for number in last)


def test_what_a_request_holds_stays_and_a_full_shelf_says_so():
    size = conditioning_bytes(prompt(0))
    shelf = PromptShelf(2 * size)
    names = [shelf.put(prompt(number))[0] for number in range(2)]
    with shelf.holding([names[0], names[0], names[1]]) as rows:
        assert [float(row.prompt_embeds[0, 0, 0]) for row in rows] == [0.0, 0.0, 1.0]
        with pytest.raises(Problem) as full:
            shelf.put(prompt(2))
        assert (full.value.status, full.value.code) == (507, "store_full")
        assert len(shelf) == 2
    shelf.put(prompt(2))
    assert names[0] not in shelf


def test_unknown_hashes_are_listed_and_wrong_ones_refused():
    shelf = PromptShelf(1000)
    known, _ = shelf.put(prompt(1))
    with pytest.raises(Problem) as unknown, shelf.holding([known, "sha256:a", "sha256:b", "sha256:a"]):
        pass
    assert (unknown.value.status, unknown.value.details) == (409, {"hashes": ["sha256:a", "sha256:b"]})
    with pytest.raises(Problem) as other:
        shelf.put(prompt(2), known)
    assert (other.value.status, other.value.code) == (422, "hash_mismatch")


def test_rows_share_the_memory_of_all():
    told = Conditioning(torch.randn(3, 2, 4), torch.randn(3, 5), truncated=(None, "cut", None))
    rows = rows_of(told)
    assert [row.truncated for row in rows] == [(None,), ("cut",), (None,)]
    assert rows[1].prompt_embeds.data_ptr() == told.prompt_embeds[1].data_ptr()
    torch.testing.assert_close(Conditioning.cat(rows).prompt_embeds, told.prompt_embeds)
