import pytest
import torch

from dina_lrm.runs.moving_average import MovingAverage, decay_at


def parameters(*values):
    return {f"p{i}": torch.nn.Parameter(torch.tensor([float(v)])) for i, v in enumerate(values)}


def test_equals_the_formula_by_hand():
    live = parameters(1.0, -2.0)
    average = MovingAverage(live, 0.9, warmup=False)
    for value in (2.0, 4.0):
        live["p0"].data.fill_(value)
        average.update()
    # 0.9 (0.9 * 1 + 0.1 * 2) + 0.1 * 4
    assert average.state_dict()["p0"].item() == pytest.approx(1.39)
    assert average.state_dict()["p1"].item() == pytest.approx(-2.0)


def test_warm_up_shortens_the_memory_at_first():
    assert [decay_at(n, 0.995) for n in (0, 1, 10)] == pytest.approx([0.1, 2 / 11, 11 / 20])
    assert decay_at(10_000, 0.995) == 0.995
    assert decay_at(0, 0.995, warmup=False) == 0.995


def test_warm_up_counts_optimiser_steps_not_updates():
    """Every eighth step: the first update is behind 7 others, and a decay of .9 is reached at step 80."""
    assert decay_at(0, 0.9, every=8) == decay_at(7, 0.9) == pytest.approx(8 / 17)
    assert decay_at(8, 0.9, every=8) < 0.9 == decay_at(10, 0.9, every=8) == decay_at(17, 0.9, every=8)


def test_swap_is_exact_and_survives_an_error():
    live = parameters(1.0)
    average = MovingAverage(live, 0.5, warmup=False)
    live["p0"].data.fill_(3.0)
    average.update()
    with pytest.raises(RuntimeError, match="inside"), average.swapped_in():
        assert live["p0"].item() == 2.0
        raise RuntimeError("inside")
    assert live["p0"].item() == 3.0


def test_state_restores_the_trajectory_bit_for_bit():
    torch.manual_seed(0)
    steps = torch.randn(6, 1)
    live, again = parameters(0.3), parameters(0.3)
    straight, first = MovingAverage(live, 0.995), MovingAverage(again, 0.995)
    for value in steps[:3]:
        live["p0"].data.copy_(value)
        again["p0"].data.copy_(value)
        straight.update()
        first.update()
    second = MovingAverage(again, 0.995)
    second.load_state_dict({name: t.clone() for name, t in first.state_dict().items()}, first.updates)
    for value in steps[3:]:
        live["p0"].data.copy_(value)
        again["p0"].data.copy_(value)
        straight.update()
        second.update()
    assert torch.equal(straight.state_dict()["p0"], second.state_dict()["p0"])


def test_other_names_are_refused():
    average = MovingAverage(parameters(0.0), 0.995)
    with pytest.raises(ValueError, match="names differ"):
        average.load_state_dict({"other": torch.zeros(1)}, 1)
