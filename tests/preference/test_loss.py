"""Fidelity loss and NLL: the derivation by hand, minima, signs of the gradient, and the ends of float32."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dina_lrm.preference.likelihood import BradleyTerry, Thurstone
from dina_lrm.preference.loss import LOSSES, fidelity_loss, nll_loss
from dina_lrm.preference.presets import PRESETS, PreferenceObjective

loss_cases = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
probabilities = st.floats(1e-6, 1 - 1e-6)


def logs(p: float) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor(p, dtype=torch.float64).log(), torch.tensor(1 - p, dtype=torch.float64).log()


@pytest.mark.parametrize(
    ("model", "label", "expected"),
    [
        (0.25, 1.0, 0.5),  # 1 - sqrt(1/4)
        (0.25, 0.0, 1 - math.sqrt(0.75)),
        (0.64, 1.0, 0.2),
        (0.64, 0.0, 0.4),  # 1 - sqrt(0.36)
        (0.64, 0.36, 0.04),  # 1 - 2 (0.8 x 0.6)
        (0.9, 0.1, 0.4),  # 1 - 2 sqrt(0.09)
        (0.5, 0.5, 0.0),
        (0.64, 0.64, 0.0),
    ],
)
def test_fidelity_by_hand(model: float, label: float, expected: float) -> None:
    assert fidelity_loss(*logs(model), label).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("model", "label", "expected"),
    [
        (0.5, 1.0, math.log(2)),
        (0.25, 0.0, math.log(4 / 3)),
        (0.5, 0.3, math.log(2)),
        (0.25, 0.5, -math.log(3 / 16) / 2),
    ],
)
def test_nll_by_hand(model: float, label: float, expected: float) -> None:
    assert nll_loss(*logs(model), label).item() == pytest.approx(expected)


@given(model=probabilities, label=st.sampled_from([0.0, 1.0]))
def test_soft_labels_of_zero_and_one_are_hard_labels(model: float, label: float) -> None:
    """The paper's Eq. 9 is written for hard labels."""
    hard = 1 - math.sqrt(label * model + (1 - label) * (1 - model))
    assert fidelity_loss(*logs(model), label).item() == pytest.approx(hard, abs=1e-12)


@given(model=probabilities, label=st.floats(0, 1), epsilon=st.sampled_from([0.0, 1e-6, 1e-3]))
def test_the_stable_form_is_the_textbook_form(model: float, label: float, epsilon: float) -> None:
    textbook = 1 - math.sqrt(label * (model + epsilon)) - math.sqrt((1 - label) * (1 - model + epsilon))
    assert fidelity_loss(*logs(model), label, epsilon).item() == pytest.approx(textbook, abs=1e-12)


@given(model=probabilities)
def test_the_released_epsilon_by_its_own_formula(model: float) -> None:
    assert fidelity_loss(*logs(model), 1.0, 1e-6).item() == pytest.approx(1 - math.sqrt(model + 1e-6), abs=1e-12)


@loss_cases
@given(model=probabilities, label=st.floats(0, 1))
def test_naming_the_images_the_other_way_round_changes_nothing(loss, model: float, label: float) -> None:
    log_a, log_b = logs(model)
    # 1 - label is rounded, which the root enlarges near label 0.
    assert loss(log_a, log_b, label).item() == pytest.approx(loss(log_b, log_a, 1 - label).item(), abs=2e-8)


@given(model=probabilities, label=st.floats(0, 1))
def test_fidelity_is_bounded(model: float, label: float) -> None:
    assert 0 <= fidelity_loss(*logs(model), label).item() <= 1


@loss_cases
@given(label=st.floats(0.01, 0.99), other=st.floats(0.01, 0.99))
def test_the_label_itself_is_the_minimum(loss, label: float, other: float) -> None:
    assert loss(*logs(label), label).item() <= loss(*logs(other), label).item() + 1e-12


@loss_cases
@pytest.mark.parametrize("model", [Thurstone(), BradleyTerry()], ids=["thurstone", "bradley-terry"])
def test_a_tie_pulls_the_margin_to_zero(loss, model: Thurstone | BradleyTerry) -> None:
    margin = torch.linspace(-2, 2, 41, dtype=torch.float64, requires_grad=True)
    values = loss(*model.log_probabilities(margin, 0.4), 0.5)
    assert values.argmin().item() == 20
    (gradient,) = torch.autograd.grad(values.sum(), margin)
    assert gradient[20].item() == pytest.approx(0, abs=1e-12)
    assert (gradient[:20] < 0).all()
    assert (gradient[21:] > 0).all()


@loss_cases
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_the_gradient_pulls_towards_the_label(loss, label: float) -> None:
    margin = torch.linspace(-1, 1, 21, requires_grad=True)
    values = loss(*Thurstone().log_probabilities(margin, 0.5), label)
    (gradient,) = torch.autograd.grad(values.sum(), margin)
    assert (torch.sign(gradient) == (1 if label == 0 else -1)).all()


def test_the_fidelity_gradient_by_hand() -> None:
    """At m = 0 with label 1: d/dm (1 - sqrt(Phi(m / s))) = -phi(0) / (2 s sqrt(1/2)), s = sqrt(2 x 0.5) = 1."""
    margin = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    model = Thurstone(k=0.0, variance_floor=0.5)
    (gradient,) = torch.autograd.grad(fidelity_loss(*model.log_probabilities(margin, 0.0), 1.0).sum(), margin)
    assert gradient.item() == pytest.approx(-1 / math.sqrt(2 * math.pi) / 2 / math.sqrt(0.5))


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS.keys())
@pytest.mark.parametrize("sigma", [0.0, 1.0])
@pytest.mark.parametrize("label", [0.0, 0.3, 0.5, 1.0])
def test_value_and_gradient_stay_finite(preset: PreferenceObjective, sigma: float, label: float) -> None:
    margin = torch.tensor([-1e4, -1e3, -10.0, -0.1, 0.0, 0.1, 10.0, 1e3, 1e4], requires_grad=True)
    for loss in LOSSES.values():
        values = loss(*preset.model.log_probabilities(margin, sigma), label)
        (gradient,) = torch.autograd.grad(values.sum(), margin)
        assert values.isfinite().all()
        assert gradient.isfinite().all()
    (gradient,) = torch.autograd.grad(preset(margin, sigma, label).sum(), margin)
    assert gradient.isfinite().all()


def test_the_gradient_of_the_nll_keeps_pulling_where_the_model_is_surely_wrong() -> None:
    margin = torch.tensor([-1e4], requires_grad=True)
    (gradient,) = torch.autograd.grad(nll_loss(*Thurstone().log_probabilities(margin, 0.0), 1.0).sum(), margin)
    assert gradient.item() == pytest.approx(-1e4 / 0.02, rel=1e-4)


def test_small_losses_keep_their_digits() -> None:
    """1 - sqrt(P) for P near one is (1 - P) / 2, far below the resolution of float32 near one."""
    log_b = torch.tensor([-30.0, -60.0])
    log_a = torch.log1p(-log_b.exp())
    torch.testing.assert_close(fidelity_loss(log_a, log_b, 1.0), log_b.exp() / 2, rtol=1e-5, atol=0)
    label, model = torch.tensor([0.3]), torch.tensor([0.3001])
    exact = fidelity_loss(model.double().log(), (1 - model.double()).log(), label.double())
    torch.testing.assert_close(fidelity_loss(model.log(), (1 - model).log(), label).double(), exact, rtol=2e-3, atol=0)


def test_labels_broadcast_only_as_one_number() -> None:
    log_p = torch.full((3,), 0.5).log()
    assert fidelity_loss(log_p, log_p, 0.5).shape == (3,)
    with pytest.raises(ValueError, match=r"labels of shape \(3, 1\) for probabilities of shape \(3,\)"):
        nll_loss(log_p, log_p, torch.ones(3, 1))


def test_half_precision_is_raised_to_float32() -> None:
    log_p = torch.full((2,), 0.5).log().bfloat16()
    for loss in LOSSES.values():
        assert loss(log_p, log_p, torch.ones(2, dtype=torch.bfloat16)).dtype == torch.float32
