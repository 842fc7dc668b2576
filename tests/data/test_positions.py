import dataclasses
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dina_lrm.data.batches import BatchPlan
from dina_lrm.data.cache.pairs import MIXED
from dina_lrm.data.position import BatchPosition
from dina_lrm.typed import from_plain, to_plain


@st.composite
def mixtures(draw):
    """Kinds of pairs, of one size and of two, their prompts, and what each costs or None."""
    count = draw(st.integers(1, 120))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**20)))
    numbers = torch.tensor([0, 1, 2, MIXED + 1, MIXED + 2, 2 * MIXED + 2])
    kinds = numbers[torch.randint(len(numbers), (count,), generator=generator) ** 2 // len(numbers)]
    prompts = torch.randint(draw(st.integers(1, 30)), (count,), generator=generator)
    costs = 1 + torch.randint(7, (count,), generator=generator) if draw(st.booleans()) else None
    return kinds, prompts if draw(st.booleans()) else None, costs


def epoch_of(plan, epoch):
    return [plan.batch(step).tolist() for step in range(plan.first_step(epoch), plan.first_step(epoch + 1))]


@settings(deadline=None, max_examples=30)
@given(mixtures(), st.integers(7, 30), st.integers(0, 99))
def test_every_pair_once_an_epoch_within_the_budget(mixture, size, seed):
    kinds, prompts, costs = mixture
    plan = BatchPlan(kinds, size, seed, prompts, costs=costs)
    spent = torch.ones(len(kinds), dtype=torch.long) if costs is None else costs
    for epoch in range(2):
        batches = epoch_of(plan, epoch)
        assert sorted(row for batch in batches for row in batch) == list(range(len(kinds)))
        assert all(1 <= len(batch) and int(spent[batch].sum()) <= size for batch in batches)
    assert plan.starts(plan.first_step(2)) == tuple(plan.first_step(epoch) for epoch in range(3))


@settings(deadline=None, max_examples=20)
@given(mixtures(), st.integers(7, 30))
def test_sizes_that_fill_half_a_batch_have_their_own_and_the_others_share(mixture, size):
    kinds, prompts, costs = mixture
    spent = torch.ones(len(kinds), dtype=torch.long) if costs is None else costs
    filled = {kind: int(spent[kinds == kind].sum()) for kind in kinds.unique().tolist()}
    shared = {kind for kind, cost in filled.items() if 2 * cost < size}
    others = {kind: cost for kind, cost in filled.items() if kind not in shared}
    if shared and others and 2 * sum(filled[kind] for kind in shared) < size:
        shared.add(min(others, key=lambda kind: (others[kind], kind)))
    if costs is None and kinds.max() < MIXED:
        shared = set()
    for batch in epoch_of(BatchPlan(kinds, size, 0, prompts, costs=costs), 0):
        found = set(kinds[batch].tolist())
        assert found <= shared or (len(found) == 1 and not found & shared)


def test_a_number_of_pairs_is_a_budget_of_pairs_that_cost_one():
    kinds, prompts = torch.arange(90) % 3, torch.arange(90) // 4
    counted, costing = (BatchPlan(kinds, 12, 5, prompts, costs=costs) for costs in (None, torch.ones(90).long()))
    assert epoch_of(counted, 0) == epoch_of(costing, 0)
    assert epoch_of(counted, 3) == epoch_of(costing, 3)


def test_a_budget_gives_large_pictures_fewer_pairs():
    kinds = torch.tensor([0, 1]).repeat_interleave(120)
    plan = BatchPlan(kinds, 2400, 0, costs=torch.tensor([100, 400])[kinds])
    sizes = {int(kinds[batch][0]): len(batch) for batch in epoch_of(plan, 0)}
    assert sizes == {0: 24, 1: 6}


@settings(deadline=None, max_examples=30)
@given(mixtures(), st.integers(7, 30), st.integers(7, 40), st.integers(0, 40), st.integers(0, 40))
def test_another_size_from_a_step_on_reads_every_pair_of_the_epoch_once(mixture, size, other, steps, more):
    kinds, prompts, costs = mixture
    before = BatchPlan(kinds, size, 3, prompts, costs=costs)
    after = before.resized(steps, other).resized(steps + more, size + 1)
    assert [after.batch(s).tolist() for s in range(steps)] == [before.batch(s).tolist() for s in range(steps)]
    last = after.epoch_of(steps + more)[0]
    for epoch in range(last + 2):
        assert sorted(row for batch in epoch_of(after, epoch) for row in batch) == list(range(len(kinds)))
    # What is left keeps its order among pairs of a kind
    epoch, position = before.epoch_of(steps)
    once = before.resized(steps, other)
    if position and other != size:
        left = [row for batch in epoch_of(before, epoch)[position:] for row in batch]
        again = [row for batch in epoch_of(once, epoch)[position:] for row in batch]
        assert sorted(left) == sorted(again)
        for kind in set(once._kind_of[left].tolist()):
            rows = [[row for row in order if once._kind_of[row] == kind] for order in (left, again)]
            assert rows[0] == rows[1]


def test_a_size_changed_before_the_first_step_is_that_of_the_run():
    kinds = torch.arange(50) % 2
    changed, fresh = BatchPlan(kinds, 8, 1).resized(0, 6), BatchPlan(kinds, 6, 1)
    assert epoch_of(changed, 0) == epoch_of(fresh, 0) and epoch_of(changed, 1) == epoch_of(fresh, 1)


@settings(deadline=None, max_examples=20)
@given(mixtures(), st.integers(7, 30), st.integers(0, 60), st.integers(1, 40))
def test_a_position_that_was_stored_gives_the_same_batches(mixture, size, step, later):
    kinds, prompts, costs = mixture

    def fresh():
        return BatchPlan(kinds, size, 2, prompts, costs=costs)

    plan = fresh().resized(step // 2, size + 3)
    stored = json.loads(json.dumps(to_plain(BatchPosition.of(plan, step, "abc"))))
    position = from_plain(BatchPosition, stored)
    followed = position.followed(fresh(), "abc", "there")
    assert [followed.batch(s).tolist() for s in range(step + later)] == [
        plan.batch(s).tolist() for s in range(step + later)
    ]
    assert position.pairs_seen == sum(len(plan.batch(s)) for s in range(plan.first_step(position.epoch), step))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"batch_size": 9},
            r"there: stopped at step 7 with batches of 8 pairs; given: batches of 9 pairs.*resume-batch",
        ),
        ({"costs": torch.ones(60).long()}, "batches of 8 pairs; given: batches of 8 tokens"),
        ({"seed": 1}, r"stopped on data of seed 0 \(given: 1\)"),
        ({"prompts": None}, r"pairs of a prompt together True \(given: False\)"),
        ({"buckets": 61, "prompts": torch.arange(61) // 3}, r"pairs 60 \(given: 61\)"),
        ({"buckets": torch.arange(60) % 2}, "it had read 56 pairs of epoch 0; .* their order is another"),
    ],
)
def test_other_batches_are_refused_with_both_values(changes, message):
    given = {"buckets": 60, "batch_size": 8, "seed": 0, "prompts": torch.arange(60) // 3}
    position = BatchPosition.of(BatchPlan(**given), 7, "abc")
    position = dataclasses.replace(position, pairs_seen=56) if "their order" in message else position
    with pytest.raises(ValueError, match=message):
        position.followed(BatchPlan(**{**given, **changes}), "abc", "there")
    with pytest.raises(ValueError, match=r"content 'abc' \(given: 'other'\)"):
        position.followed(BatchPlan(**given), "other", "there")


def test_a_budget_smaller_than_a_pair_is_refused():
    with pytest.raises(ValueError, match="at most 8, and pairs cost from 3 to 9; accepted: at least 9"):
        BatchPlan(2, 8, 0, costs=torch.tensor([3, 9]))


def test_shares_of_a_batch_cost_about_as_much():
    costs = torch.tensor([1, 1, 1, 1, 8, 2, 2, 2])
    plan = BatchPlan(8, 100, 0, costs=costs)
    for parts in range(1, 9):
        ends = plan.shares(np.arange(8), parts)
        assert len(ends) == parts and ends[-1] == 8 and (np.diff(ends, prepend=0) >= 1).all()
    assert plan.shares(np.arange(8), 2).tolist() == [5, 8]
    assert plan.shares(np.arange(2), 4)[-1] == 2


def test_epochs_that_a_position_knows_are_not_counted_again(monkeypatch):
    prompts = torch.randint(200, (1000,), generator=torch.Generator().manual_seed(0))
    plan = BatchPlan(1000, 16, 0, prompts)
    step = plan.first_step(20) + 5
    position = BatchPosition.of(plan, step, "")
    counted, count = [], BatchPlan._count
    monkeypatch.setattr(BatchPlan, "_count", lambda plan, epoch: [counted.append(epoch), count(plan, epoch)][1])
    followed = position.followed(BatchPlan(1000, 16, 0, prompts), "", "there")
    assert torch.equal(followed.batch(step), plan.batch(step))
    assert counted == [20]
