"""Laws of the forward processes: both ends, monotone paths, and every conversion's round trip in float64."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dina_lrm.diffusion import ForwardProcess, RectifiedFlow, VariancePreserving


def cosine_schedule(timesteps: int = 50, last: float | None = None) -> Tensor:
    steps = torch.arange(1, timesteps + 1, dtype=torch.float64) / timesteps
    values = torch.cos(0.49 * torch.pi * steps) ** 2
    if last is not None:
        values[-1] = last
    return values


PROCESSES: dict[str, ForwardProcess] = {
    "rectified flow": RectifiedFlow(),
    "variance preserving": VariancePreserving(cosine_schedule()),
    "zero terminal snr": VariancePreserving(cosine_schedule(last=0.0)),
}
process_cases = pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES.keys())
interior = st.floats(0.001, 0.999)


def draws(batch: int = 3, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x_0, noise = torch.randn(2, batch, 4, 2, 2, generator=generator, dtype=dtype)
    return x_0, noise


@process_cases
def test_the_clean_end_is_exact(process: ForwardProcess) -> None:
    x_0, noise = draws()
    assert process.alpha(0.0).item() == 1.0
    assert process.sigma(0.0).item() == 0.0
    assert torch.equal(process.add_noise(x_0, noise, 0.0), x_0)


@pytest.mark.parametrize("name", ["rectified flow", "zero terminal snr"])
def test_the_noise_end_is_exact_where_the_schedule_reaches_it(name: str) -> None:
    process = PROCESSES[name]
    x_0, noise = draws()
    assert process.alpha(1.0).item() == 0.0
    assert process.sigma(1.0).item() == 1.0
    assert torch.equal(process.add_noise(x_0, noise, 1.0), noise)


@process_cases
def test_alpha_falls_sigma_rises_and_both_keep_the_shape(process: ForwardProcess) -> None:
    levels = torch.linspace(0, 1, 401, dtype=torch.float64)
    alpha, sigma = process.alpha(levels), process.sigma(levels)
    assert alpha.shape == sigma.shape == levels.shape
    assert alpha.dtype == torch.float64
    assert (alpha.diff() < 0).all()
    assert (sigma.diff() > 0).all()


@process_cases
@given(level=st.floats(0, 1))
def test_velocity_and_state_are_a_basis_of_determinant_one(process: ForwardProcess, level: float) -> None:
    t = torch.tensor(level, dtype=torch.float64)
    a, b = process.velocity_coefficients(t)
    assert (process.alpha(t) * b - process.sigma(t) * a).item() == pytest.approx(1, abs=1e-14)


@given(level=st.floats(0, 1))
def test_variance_is_preserved_between_timesteps_too(level: float) -> None:
    process, t = PROCESSES["variance preserving"], torch.tensor(level, dtype=torch.float64)
    assert (process.alpha(t) ** 2 + process.sigma(t) ** 2).item() == pytest.approx(1, abs=1e-15)


def test_rectified_flow_by_hand() -> None:
    process, x_0, noise = RectifiedFlow(), torch.tensor([2.0]), torch.tensor([-2.0])
    assert process.add_noise(x_0, noise, 0.25).item() == 1.0
    assert process.velocity(x_0, noise, 0.25).item() == -4.0
    assert process.clean_from_velocity(torch.tensor([1.0]), torch.tensor([-4.0]), 0.25).item() == 2.0
    assert process.noise_from_velocity(torch.tensor([1.0]), torch.tensor([-4.0]), 0.25).item() == -2.0


def test_variance_preserving_by_hand() -> None:
    process = VariancePreserving(torch.tensor([0.64], dtype=torch.float64))
    x_0, noise = torch.ones(1, dtype=torch.float64), torch.full((1,), 2.0, dtype=torch.float64)
    t = torch.ones((), dtype=torch.float64)
    assert process.add_noise(x_0, noise, t).item() == pytest.approx(0.8 + 0.6 * 2)
    assert process.velocity(x_0, noise, t).item() == pytest.approx(0.8 * 2 - 0.6)
    halfway = process.alpha(torch.tensor(0.5, dtype=torch.float64)).item()
    assert halfway**2 == pytest.approx((1 + 0.64) / 2)


@process_cases
@settings(max_examples=25)
@given(levels=st.lists(interior, min_size=3, max_size=3))
def test_every_conversion_recovers_what_made_the_state(process: ForwardProcess, levels: list[float]) -> None:
    t = torch.tensor(levels, dtype=torch.float64)
    x_0, noise = draws()
    x_t, v = process.add_noise(x_0, noise, t), process.velocity(x_0, noise, t)
    for found, expected in (
        (process.clean_from_velocity(x_t, v, t), x_0),
        (process.clean_from_noise(x_t, noise, t), x_0),
        (process.noise_from_velocity(x_t, v, t), noise),
        (process.noise_from_clean(x_t, x_0, t), noise),
        (process.velocity_from_clean(x_t, x_0, t), v),
        (process.velocity_from_noise(x_t, noise, t), v),
    ):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


@process_cases
@pytest.mark.parametrize("level", [0.0, 1.0])
def test_velocity_recovers_clean_and_noise_at_both_ends(process: ForwardProcess, level: float) -> None:
    t = torch.tensor(level, dtype=torch.float64)
    x_0, noise = draws()
    x_t, v = process.add_noise(x_0, noise, t), process.velocity(x_0, noise, t)
    torch.testing.assert_close(process.clean_from_velocity(x_t, v, t), x_0)
    torch.testing.assert_close(process.noise_from_velocity(x_t, v, t), noise)


def test_a_conversion_that_does_not_exist_says_so() -> None:
    process, (x_0, noise) = RectifiedFlow(), draws()
    with pytest.raises(ValueError, match=r"clean_from_noise: alpha is 0 .* or a conversion from the velocity"):
        process.clean_from_noise(x_0, noise, 1.0)
    with pytest.raises(ValueError, match="velocity_from_clean: sigma is 0"):
        process.velocity_from_clean(x_0, noise, torch.tensor([0.5, 0.0, 0.5]))


@process_cases
@pytest.mark.parametrize("level", [-0.1, 400.0, float("nan")])
def test_noise_levels_outside_the_unit_interval_are_refused(process: ForwardProcess, level: float) -> None:
    with pytest.raises(ValueError, match=r"noise level is .* accepted: values in \[0, 1\]"):
        process.alpha(torch.tensor([0.5, level]))


@process_cases
def test_one_level_per_entry_equals_entries_alone(process: ForwardProcess) -> None:
    x_0, noise = draws()
    levels = [0.1, 0.5, 0.9]
    together = process.add_noise(x_0, noise, torch.tensor(levels))
    alone = torch.cat([process.add_noise(x_0[i : i + 1], noise[i : i + 1], t) for i, t in enumerate(levels)])
    # Interpolation of a table may be fused or not, by the number of values
    torch.testing.assert_close(together, alone, rtol=1e-6, atol=1e-6)


def test_shapes_that_do_not_match_are_refused() -> None:
    x_0, noise = draws()
    with pytest.raises(ValueError, match=r"shapes \(3, 4, 2, 2\) and \(1, 4, 2, 2\) differ"):
        RectifiedFlow().add_noise(x_0, noise[:1], 0.5)
    with pytest.raises(ValueError, match="one number or one per batch entry"):
        RectifiedFlow().add_noise(x_0, noise, torch.full((2,), 0.5))


@pytest.mark.parametrize("level", [0.3, torch.full((3,), 0.3)], ids=["number", "per entry"])
def test_half_precision_is_computed_in_float32_and_returned_as_given(level: float | Tensor) -> None:
    x_0, noise = draws(dtype=torch.float32)
    x_t = RectifiedFlow().add_noise(x_0.bfloat16(), noise.bfloat16(), level)
    expected = 0.7 * x_0.bfloat16().float() + 0.3 * noise.bfloat16().float()
    assert torch.equal(x_t, expected.bfloat16())


@process_cases
def test_the_state_is_differentiable_by_latents_and_level(process: ForwardProcess) -> None:
    x_0, noise = draws(batch=1)
    t = torch.tensor([0.313], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, level: process.add_noise(x, noise, level), (x_0.requires_grad_(), t))


def test_timesteps_of_rectified_flow() -> None:
    process = RectifiedFlow()
    assert process.timestep_from_noise_level(0.4).item() == pytest.approx(400)
    assert process.noise_level_from_timestep(torch.tensor([0, 400, 1000])).tolist() == pytest.approx([0, 0.4, 1])


def test_timesteps_of_a_discrete_schedule() -> None:
    schedule = cosine_schedule(10)
    process = VariancePreserving(schedule)
    levels = process.noise_level_from_timestep(torch.arange(10))
    assert levels.tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    torch.testing.assert_close(process.timestep_from_noise_level(levels), torch.arange(10.0))
    torch.testing.assert_close(process.alpha(levels) ** 2, schedule.float())
    assert process.timestep_from_noise_level(0.05).item() == 0
    with pytest.raises(ValueError, match="num_train_timesteps"):
        process.noise_level_from_timestep(10)


@pytest.mark.parametrize("values", [[0.9, 0.95], [1.1, 0.5], [0.5, -0.1], [0.5, float("nan")]])
def test_a_schedule_that_is_none_is_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match=r"alphas_cumprod .* never rise"):
        VariancePreserving(torch.tensor(values))


def test_an_empty_schedule_is_refused() -> None:
    with pytest.raises(ValueError, match="0 training timesteps were given"):
        VariancePreserving(torch.empty(0))
