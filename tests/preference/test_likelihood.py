"""Laws of every preference model in the presets, and agreement with scipy."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import logistic, norm

from dina_lrm.preference.likelihood import BradleyTerry, PreferenceModel, Thurstone
from dina_lrm.preference.presets import PRESETS

model_cases = pytest.mark.parametrize("model", [preset.model for preset in PRESETS.values()], ids=PRESETS.keys())
margins = st.floats(-1e4, 1e4)
sigmas = st.floats(0, 1)


def tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@model_cases
@given(margin=margins, sigma=sigmas)
def test_the_two_probabilities_sum_to_one(model: PreferenceModel, margin: float, sigma: float) -> None:
    forth, back = model.probability(tensor(margin), sigma), model.probability(tensor(-margin), sigma)
    assert (forth + back).item() == pytest.approx(1, abs=1e-12)
    log_p = model.log_probabilities(tensor(margin), sigma)
    assert (log_p.a.exp() + log_p.b.exp()).item() == pytest.approx(1, abs=1e-12)


@model_cases
@given(margin=margins, sigma=sigmas)
def test_swapping_the_images_swaps_the_probabilities(model: PreferenceModel, margin: float, sigma: float) -> None:
    forth = model.log_probabilities(tensor(margin), sigma)
    back = model.log_probabilities(tensor(-margin), sigma)
    assert forth.a.item() == back.b.item()
    assert forth.b.item() == back.a.item()


@model_cases
@given(scores=st.tuples(st.floats(-5, 5), st.floats(-5, 5)), shift=st.floats(-100, 100), sigma=sigmas)
def test_a_shift_of_both_scores_changes_nothing(
    model: PreferenceModel, scores: tuple[float, float], shift: float, sigma: float
) -> None:
    r_a, r_b = scores
    plain = model.probability(tensor(r_a) - tensor(r_b), sigma)
    shifted = model.probability(tensor(r_a + shift) - tensor(r_b + shift), sigma)
    assert shifted.item() == pytest.approx(plain.item(), abs=1e-11)


@model_cases
@pytest.mark.parametrize("sigma", [0.0, 0.4, 1.0])
def test_probability_rises_with_the_margin(model: PreferenceModel, sigma: float) -> None:
    log_p = model.log_probabilities(torch.linspace(-20, 20, 401), sigma)
    assert (log_p.a.diff() >= 0).all()
    assert (log_p.b.diff() <= 0).all()
    small = model.log_probabilities(torch.linspace(-0.5, 0.5, 101), sigma)
    assert (small.a.diff() > 0).all()


@model_cases
@given(sigma=sigmas)
def test_equal_scores_are_a_toss_up(model: PreferenceModel, sigma: float) -> None:
    log_p = model.log_probabilities(tensor(0.0), sigma)
    assert log_p.a.item() == pytest.approx(-math.log(2))
    assert log_p.b.item() == pytest.approx(-math.log(2))


@model_cases
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("sigma", [0.0, 1.0])
def test_value_and_gradient_stay_finite(model: PreferenceModel, dtype: torch.dtype, sigma: float) -> None:
    margin = torch.tensor([-1e4, -100.0, -1.0, 0.0, 1.0, 100.0, 1e4], dtype=dtype, requires_grad=True)
    for log_p in model.log_probabilities(margin, sigma):
        assert log_p.dtype == torch.float32
        assert log_p.isfinite().all()
        (gradient,) = torch.autograd.grad(log_p.sum(), margin)
        assert gradient.isfinite().all()
    probability = model.probability(margin, sigma)
    assert ((probability > 0) & (probability < 1)).all()


@given(margin=st.floats(-3, 3), sigma=sigmas, k=st.floats(0, 4), floor=st.floats(1e-3, 1))
def test_thurstone_agrees_with_scipy(margin: float, sigma: float, k: float, floor: float) -> None:
    model = Thurstone(k=k, variance_floor=floor)
    scale = math.sqrt(2 * (k * sigma**2 + floor))
    m = tensor(margin).requires_grad_()
    log_p = model.log_probabilities(m, sigma)
    assert log_p.a.item() == pytest.approx(norm.logcdf(margin, scale=scale), rel=1e-10, abs=1e-300)
    assert log_p.b.item() == pytest.approx(norm.logsf(margin, scale=scale), rel=1e-10, abs=1e-300)
    (slope,) = torch.autograd.grad(model.probability(m, sigma), m)
    assert slope.item() == pytest.approx(norm.pdf(margin, scale=scale), rel=1e-6, abs=1e-14)


@given(margin=st.floats(-1e3, 1e3), sigma=sigmas)
def test_bradley_terry_agrees_with_scipy_at_every_sigma(margin: float, sigma: float) -> None:
    log_p = BradleyTerry().log_probabilities(tensor(margin), sigma)
    assert log_p.a.item() == pytest.approx(logistic.logcdf(margin), rel=1e-10, abs=1e-300)


def test_the_papers_probit_by_hand() -> None:
    model = PRESETS["paper"].model
    # sigma = 0: 2 var = 0.02; sigma = 1: 2 var = 4.02
    assert model.probability(tensor(math.sqrt(0.02)), 0.0).item() == pytest.approx(0.841344746)
    assert model.probability(tensor(2 * math.sqrt(4.02)), 1.0).item() == pytest.approx(0.977249868)


@given(margin=st.floats(-1, 1), sigma=sigmas)
def test_without_growth_it_is_thurstones_model_of_clean_samples(margin: float, sigma: float) -> None:
    constant = Thurstone(k=0.0, variance_floor=0.04).probability(tensor(margin), sigma)
    assert constant.item() == pytest.approx(norm.cdf(margin / math.sqrt(0.04 + 0.04)))
    calibrated = Thurstone(k=2.0, variance_floor=0.04).probability(tensor(margin), 0.0)
    assert constant.item() == calibrated.item()


def test_noisier_states_are_judged_less_surely() -> None:
    sigma = torch.linspace(0, 1, 11)
    probability = Thurstone().probability(torch.full_like(sigma, 0.3), sigma)
    assert (probability.diff() < 0).all()
    assert (probability > 0.5).all()


def test_margin_and_sigma_broadcast() -> None:
    margin, sigma = torch.randn(5, 1, generator=torch.Generator().manual_seed(0)), torch.tensor([0.0, 0.5, 1.0])
    for model in (Thurstone(), BradleyTerry()):
        grid = model.log_probabilities(margin, sigma)
        assert grid.a.shape == grid.b.shape == (5, 3)
        assert torch.equal(grid.a[:, 1], model.log_probabilities(margin[:, 0], 0.5).a)


@model_cases
def test_a_model_survives_the_round_trip_through_a_dict(model: PreferenceModel) -> None:
    assert PreferenceModel.from_dict(model.to_dict()) == model


def test_the_dict_is_plain() -> None:
    assert Thurstone().to_dict() == {"name": "thurstone", "k": 2.0, "variance_floor": 0.01, "epsilon": 0.0}
    assert PreferenceModel.from_dict({"name": "thurstone", "variance_floor": 1}) == Thurstone(variance_floor=1.0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "thurston"}, r"preference model.name: got 'thurston'; accepted: thurstone, bradley-terry"),
        ({"name": ["thurstone"]}, r"name: got \['thurstone'\]"),
        ({"name": "thurstone", "k": 10**400}, "accepted: what a float holds"),
        ({}, r"name: got None; accepted: thurstone, bradley-terry"),
        ({"name": "thurstone", "kk": 2.0}, r"unknown key 'kk'; .*accepted: k, variance_floor, epsilon"),
        ({"name": "bradley-terry", "k": 2.0}, r"unknown key 'k'; accepted: no settings"),
        ({"name": "thurstone", "k": "2"}, r"preference model\.k: expected float, got '2'"),
        ({"name": "thurstone", "k": True}, r"k: expected float, got True"),
        ({"name": "thurstone", "k": -1.0}, r"Thurstone: k: got -1.0; accepted: a finite number of at least 0"),
        ({"name": "thurstone", "variance_floor": 0.0}, r"variance_floor: got 0.0; accepted: a finite number above 0"),
    ],
)
def test_what_cannot_be_read_is_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PreferenceModel.from_dict(values)


def test_a_model_outside_the_table_cannot_be_written() -> None:
    class Certain(PreferenceModel):
        def log_cdf(self, margin: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
            return torch.zeros_like(margin)

    with pytest.raises(ValueError, match=r"class: got 'Certain'; accepted: a row of the table thurstone"):
        Certain().to_dict()
