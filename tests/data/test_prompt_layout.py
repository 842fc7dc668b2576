import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dina_lrm.backbones.conditioning import Conditioning, PromptShape
from dina_lrm.data.cache.prompt_layout import (
    PADDED,
    PromptLayout,
    layout_of,
    packed,
    row_hashes,
    unpacked,
)
from dina_lrm.data.cache.row_buffers import RowBuffers
from dina_lrm.data.cache.row_files import RowFile
from dina_lrm.data.cache.shards import ShardedRows, StoredShard, row_count, write_shard

LAYOUTS = {
    "padded": PADDED,
    "ragged": PromptLayout(ragged=True),
    "split": PromptLayout(short_tokens=3, short_width=4),
    "split, ragged": PromptLayout(ragged=True, short_tokens=3, short_width=4),
}


def prompts(rows, length, seed, dtype=torch.float32, pooled=True):
    """Three tokens of a short encoder, 4 of 6 numbers wide, then `length` of a long one; padding is zeros."""
    generator = torch.Generator().manual_seed(seed)
    embeds = torch.randn(rows, 3 + length, 6, generator=generator)
    embeds[:, :3, 4:] = 0
    real = [torch.randint(0, n + 1, (rows,), generator=generator) for n in (3, length)]
    mask = torch.cat([torch.arange(n) < count[:, None] for n, count in zip((3, length), real, strict=True)], dim=1)
    embeds[:, 3:].masked_fill_(~mask[:, 3:, None], 0)
    vectors = torch.randn(rows, 4, generator=generator).to(dtype) if pooled else None
    return Conditioning(embeds.to(dtype), vectors, mask)


def alone(conditioning):
    """The long encoder's part of it."""
    return Conditioning(
        conditioning.prompt_embeds[:, 3:], conditioning.pooled_prompt_embeds, conditioning.prompt_mask[:, 3:]
    )


def same(one, other):
    pairs = [
        (getattr(one, name), getattr(other, name)) for name in ("prompt_embeds", "pooled_prompt_embeds", "prompt_mask")
    ]
    return all(a is b or (a.dtype == b.dtype and torch.equal(a, b)) for a, b in pairs)


@settings(deadline=None, max_examples=40)
@given(
    rows=st.integers(1, 5),
    length=st.integers(0, 7),
    seed=st.integers(0, 999),
    dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.float16]),
    pooled=st.booleans(),
    name=st.sampled_from([*LAYOUTS]),
)
def test_what_is_packed_comes_back_to_the_bit(rows, length, seed, dtype, pooled, name):
    layout = LAYOUTS[name]
    given = prompts(rows, length, seed, dtype, pooled)
    if name == "ragged":
        given = alone(given)
    columns = packed(given, layout)
    assert layout_of(columns) == layout
    assert str(layout) == name
    assert row_count(columns) == rows
    assert same(unpacked(columns), given)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_row_has_one_hash_in_any_shard(name):
    layout, given = LAYOUTS[name], prompts(6, 5, seed=0)
    given = alone(given) if name == "ragged" else given
    whole = row_hashes(packed(given, layout))
    assert len({*whole}) == 6
    assert whole == [hashed for row in range(6) for hashed in row_hashes(packed(given[row], layout))]
    assert whole[::-1] == row_hashes(packed(given[list(range(5, -1, -1))], layout))
    changed = given[:]
    changed.prompt_embeds[2, 0, 0] += 1
    changed.pooled_prompt_embeds[4, 0] += 1
    differ = [a != b for a, b in zip(whole, row_hashes(packed(changed, layout)), strict=True)]
    assert differ == [False, False, not (layout.ragged and not given.prompt_mask[2, 0]), False, True, False]


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_prompt_has_one_hash_however_it_is_laid_out(name):
    given = prompts(6, 5, seed=1)
    given = alone(given) if name == "ragged" else given
    assert row_hashes(packed(given, LAYOUTS[name])) == row_hashes(packed(given, PADDED))
    longer = Conditioning(
        torch.nn.functional.pad(given.prompt_embeds, (0, 0, 0, 1)),
        given.pooled_prompt_embeds,
        torch.nn.functional.pad(given.prompt_mask, (0, 1)),
    )
    assert not {*row_hashes(packed(given, LAYOUTS[name]))} & {*row_hashes(packed(longer, LAYOUTS[name]))}


def test_what_a_layout_cannot_hold_is_kept_padded():
    given = prompts(3, 4, seed=2)
    wide = Conditioning(given.prompt_embeds.clone(), given.pooled_prompt_embeds, given.prompt_mask)
    wide.prompt_embeds[1, 2, 5] = 1e-30
    gap = Conditioning(given.prompt_embeds, given.pooled_prompt_embeds, given.prompt_mask.clone())
    gap.prompt_mask[0, 3:] = torch.tensor([False, True, False, False])
    unmasked = Conditioning(given.prompt_embeds, given.pooled_prompt_embeds)
    for odd in (wide, gap, unmasked):
        columns = packed(odd, LAYOUTS["split"])
        assert layout_of(columns) == PADDED
        assert same(unpacked(columns), odd)
    assert layout_of(packed(gap, LAYOUTS["ragged"])) == PADDED


def test_the_layout_of_a_family_loses_nothing_of_it():
    assert PromptLayout.of("sd3", 128, PromptShape(205, 4096, 2048)) == PromptLayout(False, 77, 2048)
    assert PromptLayout.of("sd3", 0, PromptShape(77, 4096, 2048)) == PADDED
    assert PromptLayout.of("sd3", 5, PromptShape(21, 192, 192)) == PADDED
    assert PromptLayout.of("flux", 512, PromptShape(512, 4096, 768)) == PADDED
    assert PromptLayout.of("stable-diffusion", 0, PromptShape(77, 2048, 1280)) == PADDED
    for family in ("sana", "qwen-image", "z-image"):
        assert PromptLayout.of(family, 300, PromptShape(300, 2304, 0)) == PromptLayout(ragged=True)


def table(folder, name, given, sizes, hashed):
    """The prompts in shards of these sizes, their columns laid out so."""
    ends = torch.tensor(sizes).cumsum(0).tolist()
    parts = [packed(given[slice(end - size, end)], LAYOUTS[name]) for size, end in zip(sizes, ends, strict=True)]
    infos = [write_shard(folder, f"prompts-{number}", part) for number, part in enumerate(parts)]
    hashes = np.array([one for part in parts for one in row_hashes(part)], dtype="S64") if hashed else None
    return ShardedRows([StoredShard(folder, info) for info in infos], sizes, hashes)


@pytest.mark.parametrize("hashed", [True, False], ids=["hashed", "whole"])
@pytest.mark.parametrize("name", LAYOUTS)
def test_rows_are_read_from_shards_as_they_were_encoded(tmp_path, name, hashed):
    given = prompts(9, 5, seed=3, dtype=torch.bfloat16)
    given = alone(given) if name == "ragged" else given
    rows = table(tmp_path, name, given, (4, 1, 4), hashed)
    buffers = RowBuffers()
    for chosen in (torch.tensor([8, 0, 0, 5]), torch.arange(9), torch.tensor([3])):
        assert same(Conditioning(**rows.rows(chosen)), given[chosen])
        reused = rows.rows(chosen, buffers)
        assert same(Conditioning(**reused), given[chosen])
    assert reused["prompt_embeds"].data_ptr() == rows.rows(torch.tensor([7]), buffers)["prompt_embeds"].data_ptr()
    whole = [Conditioning(**columns) for columns in rows.shards()]
    assert same(Conditioning.cat(whole), given)


@pytest.mark.parametrize("hashed", [True, False], ids=["hashed", "whole"])
@pytest.mark.parametrize("name", LAYOUTS)
def test_a_flipped_byte_is_found_before_anything_is_computed_from_it(tmp_path, name, hashed):
    given = prompts(4, 5, seed=4)
    given.prompt_mask[3, 3:] = True  # so that a ragged row ends with a token
    rows = table(tmp_path, name, alone(given) if name == "ragged" else given, (4,), hashed)
    path = tmp_path / "prompts-0.safetensors"
    stored, content = RowFile.of(path).columns, bytearray(path.read_bytes())
    column = next(stored[each] for each in ("tokens", "t5", "prompt_embeds") if each in stored)
    content[column.start + column.row_bytes * column.shape[0] - 1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is not what the cache recorded"):
        rows.rows(torch.arange(4))


def test_a_file_that_is_put_in_the_place_of_one_that_was_read_is_refused(tmp_path):
    given = prompts(4, 5, seed=5)
    rows = table(tmp_path, "split", given, (4,), True)
    rows.rows(torch.arange(4))
    other = tmp_path / "other"
    other.mkdir()
    table(other, "split", prompts(4, 5, seed=6), (4,), True)
    (other / "prompts-0.safetensors").replace(tmp_path / "prompts-0.safetensors")
    with pytest.raises(ValueError, match="was changed while it was read"):
        rows.rows(torch.arange(4))
