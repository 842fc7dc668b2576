import math

import pytest
import torch
from scipy.stats import norm

from dina_lrm.preference.likelihood import BradleyTerry, Thurstone
from dina_lrm.preference.presets import PRESETS, PreferenceObjective, preference_preset

MARGIN = torch.tensor([-0.3, 0.0, 0.7], dtype=torch.float64)


def test_the_papers_objective_is_the_default() -> None:
    assert preference_preset("paper") == PreferenceObjective(Thurstone())
    expected = [1 - math.sqrt(norm.cdf(m / math.sqrt(2 * (2 * 0.16 + 0.01)))) for m in MARGIN.tolist()]
    assert preference_preset("paper")(MARGIN, 0.4, 1.0).tolist() == pytest.approx(expected)


def test_the_released_objective_with_its_epsilons() -> None:
    scale = math.sqrt(2 * (2 * 0.16 + 0.05) + 1e-6)
    expected = [1 - math.sqrt(norm.cdf(m / scale) + 1e-6) for m in MARGIN.tolist()]
    assert preference_preset("released")(MARGIN, 0.4, 1.0).tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("name", "variance"), [("fixed", 0.25), ("released-fixed", 0.5)])
def test_the_fixed_ablations_ignore_the_noise(name: str, variance: float) -> None:
    model = preference_preset(name).model
    for sigma in (0.0, 1.0):
        expected = norm.cdf(MARGIN.numpy(), scale=math.sqrt(2 * variance))
        assert model.probability(MARGIN, sigma).tolist() == pytest.approx(expected.tolist(), rel=1e-5)


def test_bradley_terry_is_the_logistic_loss() -> None:
    expected = torch.log1p(torch.exp(-MARGIN))
    torch.testing.assert_close(preference_preset("bradley-terry")(MARGIN, 0.4, 1.0), expected)


def test_an_unknown_preset_lists_the_known() -> None:
    with pytest.raises(ValueError, match=r"name is 'papr'; accepted: paper, released, fixed, released-fixed, brad"):
        preference_preset("papr")
    assert list(PRESETS) == ["paper", "released", "fixed", "released-fixed", "bradley-terry", "lrm"]


def test_an_epsilon_that_would_do_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="epsilon of 'nll': got 1e-06; accepted: 0"):
        PreferenceObjective(BradleyTerry(), loss="nll", epsilon=1e-6)


def test_lrm_is_bradley_terry_with_ties_from_zero() -> None:
    margin = torch.tensor([0.0, 1.0, 1.0])
    label = torch.tensor([0.5, 0.5, 0.8])
    plain, lrm = (preference_preset(name)(margin, 0.4, label) for name in ("bradley-terry", "lrm"))
    torch.testing.assert_close(plain - lrm, torch.log(torch.tensor([2.0, 2.0, 1.0])))
    assert lrm[0].abs() < 1e-6
