import pytest
import torch

from dina_lrm.backbones.conditioning import Conditioning


def conditioning(batch=3, tokens=4, mask=True, pooled=True, start=0):
    rows = torch.arange(start, start + batch, dtype=torch.float32)
    return Conditioning(
        rows.view(-1, 1, 1).expand(-1, tokens, 2).clone(),
        rows.view(-1, 1).expand(-1, 5).clone() if pooled else None,
        (torch.arange(tokens) < 1 + rows.view(-1, 1)) if mask else None,
        tuple(f"cut {int(row)}" for row in rows) if mask else None,
    )


def rows(part):
    return part.prompt_embeds[:, 0, 0].tolist()


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (1, [1]),
        (-1, [2]),
        (slice(1, None), [1, 2]),
        ([2, 0], [2, 0]),
        (torch.tensor([2, 2, 0]), [2, 2, 0]),
        (torch.tensor(1), [1]),
        (torch.tensor([True, False, True]), [0, 2]),
    ],
)
def test_indexing_takes_every_field_along(index, expected):
    part = conditioning()[index]
    assert rows(part) == expected and part.pooled_prompt_embeds[:, 0].tolist() == expected
    assert part.prompt_mask.sum(dim=1).tolist() == [1 + row for row in expected]
    assert part.truncated == tuple(f"cut {row}" for row in expected)


@pytest.mark.parametrize("index", [3, [-4], torch.tensor([0, 5])])
def test_rows_outside_are_an_index_error(index):
    with pytest.raises(IndexError, match="of a Conditioning with 3 rows"):
        conditioning()[index]


@pytest.mark.parametrize("index", [torch.tensor([0.0]), torch.tensor([[0]]), torch.tensor([True])])
def test_other_indices_are_refused(index):
    with pytest.raises(ValueError, match="index: got"):
        conditioning()[index]


def test_iterating_gives_each_row():
    assert [rows(part) for part in conditioning()] == [[0], [1], [2]]


def test_repeating():
    assert rows(conditioning().repeat_interleave(2)) == [0, 0, 1, 1, 2, 2]
    with pytest.raises(ValueError, match="repeats: got 0"):
        conditioning().repeat_interleave(0)


def test_concatenating_inverts_splitting():
    whole = conditioning()
    joined = Conditioning.cat([whole[:1], whole[1:]])
    assert torch.equal(joined.prompt_embeds, whole.prompt_embeds) and torch.equal(joined.prompt_mask, whole.prompt_mask)
    assert joined.truncated == whole.truncated
    assert torch.equal(joined.pooled_prompt_embeds, whole.pooled_prompt_embeds)


def test_a_part_without_a_mask_counts_as_all_real():
    joined = Conditioning.cat([conditioning(1), conditioning(1, mask=False)])
    assert joined.prompt_mask.tolist() == [[True, False, False, False], [True] * 4]
    assert joined.truncated == ("cut 0", None)
    assert Conditioning.cat([conditioning(mask=False)]).prompt_mask is None


def test_parts_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"got \(tokens, dim\) \[\(4, 2\), \(5, 2\)\]; all parts must agree"):
        Conditioning.cat([conditioning(), conditioning(tokens=5)])
    with pytest.raises(ValueError, match="1 of 2 parts have pooled_prompt_embeds"):
        Conditioning.cat([conditioning(), conditioning(pooled=False)])
    with pytest.raises(ValueError, match="got no parts"):
        Conditioning.cat([])


def test_moving_casts_embeddings_and_keeps_the_mask():
    moved = conditioning().to("cpu", torch.float64)
    assert moved.prompt_embeds.dtype == moved.pooled_prompt_embeds.dtype == torch.float64
    assert moved.prompt_mask.dtype == torch.bool
    assert conditioning().to().prompt_embeds.dtype == torch.float32
    assert len(moved) == 3


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"prompt_embeds": torch.zeros(3, 4)}, r"prompt_embeds: got shape \(3, 4\)"),
        ({"prompt_embeds": torch.zeros(3, 4, 2, dtype=torch.long)}, "prompt_embeds: got dtype torch.int64"),
        (
            {"pooled_prompt_embeds": torch.zeros(2, 5)},
            r"pooled_prompt_embeds: got shape \(2, 5\), expected \(3, pooled\)",
        ),
        ({"prompt_mask": torch.ones(3, 5, dtype=torch.bool)}, r"prompt_mask: got shape \(3, 5\), expected \(3, 4\)"),
        ({"prompt_mask": torch.ones(3, 4)}, "prompt_mask: got dtype torch.float32"),
        ({"truncated": (None,)}, "truncated: got 1 entries for 3 prompts"),
    ],
)
def test_fields_that_disagree_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Conditioning(**{"prompt_embeds": torch.zeros(3, 4, 2), **fields})
