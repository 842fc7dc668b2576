"""What learns goes on from its newest checkpoint, and says so before anything is put back."""

import pytest
import torch

from dina_lrm.runs.checkpoints.kept import Kept
from dina_lrm.runs.checkpoints.stored import complete_checkpoints, save_checkpoint
from dina_lrm.runs.learning import Learning
from dina_lrm.runs.moving_average import MovingAverage
from dina_lrm.runs.places import check_room


def learning(seed, decay=0.5):
    """Two weights that have learned for three steps, and their average."""
    weight = torch.nn.Parameter(torch.randn(2, generator=torch.Generator().manual_seed(seed)))
    made = Learning({"weight": weight}, torch.optim.AdamW([weight], lr=0.1), MovingAverage({"weight": weight}, decay))
    for _ in range(3):
        weight.square().sum().backward()
        made.optimizer.step()
        made.optimizer.zero_grad()
        made.average.update()
    return made


def same(one, other):
    """Whether two states are the same to the last bit."""
    a, b = one.checkpoint(0, {}), other.checkpoint(0, {})
    return a.values == b.values and all(
        torch.equal(tensor, b.tensors[group][name]) for group, own in a.tensors.items() for name, tensor in own.items()
    )


def test_it_goes_on_from_the_newest_and_older_ones_go(tmp_path):
    old, new, fresh, told = learning(0), learning(1), learning(2), []
    for step, state in ((1, old), (2, old), (3, new)):
        save_checkpoint(tmp_path, state.checkpoint(step, {"note": step}))
    found = fresh.resume(tmp_path, Kept(2), told=lambda found: told.append((found.step, same(fresh, new))))
    assert (found.step, found.values["note"]) == (3, 3) and told == [(3, False)] and same(fresh, new)
    assert [path.name for path in complete_checkpoints(tmp_path)] == ["step-2", "step-3"]


def test_it_begins_at_the_start_where_there_is_no_checkpoint(tmp_path):
    fresh, told = learning(0), []
    assert fresh.resume(tmp_path / "none", Kept(1), told=told.append) is None and told == [None]
    assert same(fresh, learning(0))


def test_other_parameters_are_refused_and_nothing_goes(tmp_path):
    for step in (1, 2):
        save_checkpoint(tmp_path, learning(0).checkpoint(step, {}))
    other = torch.nn.Parameter(torch.zeros(3))
    with pytest.raises(ValueError, match="step 2: trained parameters differ, first 'bias'"):
        Learning({"bias": other}, torch.optim.AdamW([other])).resume(tmp_path, Kept(1))
    assert len(complete_checkpoints(tmp_path)) == 2


def test_the_size_is_that_of_the_files(tmp_path):
    weight = torch.nn.Parameter(torch.ones(100_000))
    fresh = Learning({"weight": weight}, torch.optim.AdamW([weight]), MovingAverage({"weight": weight}, 0.5))
    before = fresh.check_room(tmp_path)
    assert (before.weights, before.moments, before.average) == (400_000, 800_000, 400_000)
    weight.sum().backward()
    fresh.optimizer.step()
    stored = sum(file.stat().st_size for file in save_checkpoint(tmp_path, fresh.checkpoint(1, {})).iterdir())
    assert before.total <= fresh.size().total <= stored <= before.total + 2_000
    assert before.told == "1.53 MiB (weights 391 KiB, moments 781 KiB, average 391 KiB)"


def test_a_full_disk_is_refused_with_both_numbers(tmp_path):
    with pytest.raises(ValueError, match=r"iB are free, and two of them need 909,495 TiB"):
        check_room(tmp_path / "new", 10**18, "two of them")
