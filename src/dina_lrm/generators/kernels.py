r"""One denoising step from noise level t to t' < t, as a Gaussian from which the next state is drawn.

    x' = mean + std z,    z ~ N(0, I),    mean and std from the state x and the velocity predicted there

With the clean prediction x_0 and the noise prediction eps of that velocity, three kernels renew a part `sin(phi)` of
the noise and keep the rest:

    mean = alpha' x_0 + sigma' cos(phi) eps,    std = sigma' sin(phi)

| kernel | sin(phi) | source |
|---|---|---|
| `ode`  | 0 | DDIM's deterministic step; for rectified flow the Euler step `x + v (t' - t)` |
| `cps`  | sin(eta pi / 2) | coefficients-preserving sampling (arXiv 2509.05952) |
| `ddim` | eta sqrt(1 - r^2), `r = (alpha / sigma) / (alpha' / sigma')` | Song et al. (2021), Eq. 16; eta = 1 is DDPM |

The fourth is Flow-GRPO's Euler-Maruyama step (arXiv 2505.05470) of the SDE with the marginals of the flow ODE,
where -eps / t is the score and dt = t' - t < 0:

    g^2  = eta^2 t / (1 - t)
    mean = x + v dt + g^2 / (2 t) eps dt,    std = g sqrt(-dt)                         `flow-sde`

The first three leave `alpha'` of data and `sigma'` of noise in the state, as the schedule expects. `flow-sde` does so
in the limit of small steps only, and leaves more noise; `cps` in turn renews a fixed part of the noise however small
the step, and is no discretisation of an SDE.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, final

import torch
from jaxtyping import Float
from torch import Tensor

from dina_lrm.diffusion.process import ForwardProcess, NoiseLevel, RectifiedFlow
from dina_lrm.typed import DinaError

_NEARLY: Final = 1e-3
"""How near to 1 a level counts as 1: less than one timestep of a thousand."""
_LITTLE: Final = 0.01
"""The share of its variance below which what a step keeps of its noise is computed in float64."""
Latents: TypeAlias = Float[Tensor, "batch channels height width"]


@dataclass(frozen=True)
class DenoisingStep(ABC):
    """The distribution of the next state; computed in float32 at least, whatever the dtype of the arguments."""

    mean: Latents
    std: Float[Tensor, "#batch 1 1 1"]
    """Standard deviation of the whole step, `sqrt(-dt)` included; 0 where the step is deterministic."""

    def sample(self, noise: Latents) -> Latents:
        """The next state `mean + std noise` for standard normal `noise`."""
        mean, std, noise = _in_float32(self.mean, self.std, noise)
        return mean + std * noise

    @abstractmethod
    def log_prob(self, x_next: Latents) -> Float[Tensor, " batch"]:
        """What a policy loss takes for the log-density of `x_next`: a mean over channels, height and width.

        Gradients flow to the mean, and to `x_next` unless it is detached.

        Raises:
            ValueError: for a step without noise.
        """

    @abstractmethod
    def log_ratio(self, old: "DenoisingStep", x_next: Latents) -> Float[Tensor, " batch"]:
        """`self.log_prob(x_next) - old.log_prob(x_next)` of two steps of equal std, from the difference of their means.

        As a difference of two log-densities near 1 it has a rounding error of 2e-7, which is as much as a policy
        changes in an update, and a tenth of the smallest clips. Here the error is relative to the result.

        Raises:
            ValueError: for steps without noise, of different std or of different classes.
        """


@final
@dataclass(frozen=True)
class GaussianStep(DenoisingStep):
    """A step whose `log_prob` is the log-density of N(mean, std^2 I), divided by the number of dimensions."""

    def log_prob(self, x_next: Latents) -> Float[Tensor, " batch"]:
        """`-(x' - mean)^2 / (2 std^2) - log std - log sqrt(2 pi)`, the mean over all axes but the batch."""
        _require_noise(self, "log_prob")
        mean, std, x_next = _in_float32(self.mean, self.std, x_next)
        z = (x_next - mean) / std
        return (-z.square() / 2 - std.log() - math.log(2 * math.pi) / 2).flatten(1).mean(1)

    def log_ratio(self, old: DenoisingStep, x_next: Latents) -> Float[Tensor, " batch"]:
        """`(mean - mean_old) (2 x' - mean - mean_old) / (2 std^2)`, the mean over all axes but the batch."""
        return _difference_of_squares(self, old, x_next, "GaussianStep.log_ratio", 2 * self.std.square())


@final
@dataclass(frozen=True)
class CpsStep(DenoisingStep):
    """A step of `Cps`, whose `log_prob` leaves out the scale, so that steps of little noise do not dominate a loss."""

    def log_prob(self, x_next: Latents) -> Float[Tensor, " batch"]:
        """`-(x' - mean)^2`, the mean over all axes but the batch."""
        _require_noise(self, "log_prob")
        mean, _, x_next = _in_float32(self.mean, self.std, x_next)
        return -(x_next - mean).square().flatten(1).mean(1)

    def log_ratio(self, old: DenoisingStep, x_next: Latents) -> Float[Tensor, " batch"]:
        """`(mean - mean_old) (2 x' - mean - mean_old)`, the mean over all axes but the batch."""
        return _difference_of_squares(self, old, x_next, "CpsStep.log_ratio", torch.ones_like(self.std))


class Kernel(ABC):
    """A way to denoise: from a state and its velocity to the distribution of the next state."""

    @abstractmethod
    def step(
        self, process: ForwardProcess, x: Latents, velocity: Latents, level: NoiseLevel, next_level: NoiseLevel
    ) -> DenoisingStep:
        """The step from `level` to `next_level`, each a number or a tensor of shape () or (batch,).

        Sampling and training call this same function, so that equal velocities give equal log-densities.

        Raises:
            ValueError: unless 0 <= next_level < level <= 1, or for a process that the kernel is not made for.
        """


@final
@dataclass(frozen=True)
class FlowSde(Kernel):
    """Flow-GRPO's SDE, for rectified flow; eta = 0 is the ODE.

    At t = 1, where `1 - t` vanishes, g takes the schedule's second level in its place. That level is where the step
    from t = 1 leads, so it needs no argument. The same is done less than a thousandth below, where schedules such as
    SANA's start (.9997). A step to level 0 is noisy too, and nothing removes that noise: sampling should end with a
    step of `Ode`.
    """

    eta: float = 0.7

    def __post_init__(self) -> None:
        if not 0 <= self.eta < math.inf:
            raise DinaError(f"FlowSde: eta is {self.eta}; accepted: a finite number of at least 0")

    def step(
        self, process: ForwardProcess, x: Latents, velocity: Latents, level: NoiseLevel, next_level: NoiseLevel
    ) -> GaussianStep:
        """`x + v dt + g^2 / (2 t) eps dt`, with a standard deviation of `g sqrt(-dt)`."""
        if not isinstance(process, RectifiedFlow):
            raise DinaError(f"FlowSde: the process is {process!r}; accepted: RectifiedFlow, others have Ddim or Cps")
        x, velocity = _in_float32(x, velocity)
        t, t_next = _levels(x, level, next_level)
        noise = process.noise_from_velocity(x, velocity, t)
        t, t_next = _column(t), _column(t_next)
        dt = t_next - t
        left = torch.where(1 - t < _NEARLY, 1 - t_next, 1 - t)
        g_squared = self.eta**2 * t / left
        return GaussianStep(x + velocity * dt + g_squared / (2 * t) * noise * dt, (-g_squared * dt).sqrt())


@final
@dataclass(frozen=True)
class Cps(Kernel):
    """Coefficients-preserving sampling; eta = 0 is the ODE, eta = 1 renews all noise. Without noise at level 0."""

    eta: float = 0.7

    def __post_init__(self) -> None:
        _require_share("Cps", self.eta)

    def step(
        self, process: ForwardProcess, x: Latents, velocity: Latents, level: NoiseLevel, next_level: NoiseLevel
    ) -> CpsStep:
        """`sin(phi) = sin(eta pi / 2)`."""
        x, velocity = _in_float32(x, velocity)
        t, t_next = _levels(x, level, next_level)
        sine = torch.full_like(t, math.sin(self.eta * math.pi / 2))
        kept = torch.full_like(t, math.cos(self.eta * math.pi / 2) ** 2, dtype=torch.float64)
        return CpsStep(*_renewed(process, x, velocity, t, t_next, sine, kept))


@final
@dataclass(frozen=True)
class Ddim(Kernel):
    """DDIM for any process; eta = 0 is the ODE, eta = 1 DDPM's ancestral sampling. Without noise at level 0."""

    eta: float = 1.0

    def __post_init__(self) -> None:
        _require_share("Ddim", self.eta)

    def step(
        self, process: ForwardProcess, x: Latents, velocity: Latents, level: NoiseLevel, next_level: NoiseLevel
    ) -> GaussianStep:
        """`sin(phi) = eta sqrt(1 - r^2)`; for a variance-preserving process the std is DDIM's
        `eta sqrt(sigma'^2 / sigma^2 (1 - alpha^2 / alpha'^2))`.
        """
        x, velocity = _in_float32(x, velocity)
        t, t_next = _levels(x, level, next_level)
        r = process.alpha(t) / process.alpha(t_next) * process.sigma(t_next) / process.sigma(t)
        sine = self.eta * (1 - r.square()).clamp(min=0).sqrt()
        kept = 1 - self.eta**2 * (1 - r.double().square())
        return GaussianStep(*_renewed(process, x, velocity, t, t_next, sine, kept))


@final
@dataclass(frozen=True)
class Ode(Kernel):
    """The deterministic step: its std is 0, and it has no log-density."""

    def step(
        self, process: ForwardProcess, x: Latents, velocity: Latents, level: NoiseLevel, next_level: NoiseLevel
    ) -> GaussianStep:
        """`alpha' x_0 + sigma' eps`."""
        x, velocity = _in_float32(x, velocity)
        t, t_next = _levels(x, level, next_level)
        return GaussianStep(*_renewed(process, x, velocity, t, t_next, torch.zeros_like(t), torch.ones_like(t)))


KERNELS: Final[dict[str, type[Kernel]]] = {"flow-sde": FlowSde, "cps": Cps, "ddim": Ddim, "ode": Ode}


def stochastic_kernel(name: Literal["flow-sde", "cps", "ddim"], eta: float) -> Kernel:
    """The kernel of a name, with its share of noise; ValueError for an eta that it refuses."""
    kinds: dict[str, type[FlowSde] | type[Cps] | type[Ddim]] = {"flow-sde": FlowSde, "cps": Cps, "ddim": Ddim}
    return kinds[name](eta)


def _renewed(
    process: ForwardProcess, x: Tensor, velocity: Tensor, t: Tensor, t_next: Tensor, sine: Tensor, kept: Tensor
) -> tuple[Tensor, Tensor]:
    """Mean and std of a step that draws the part `sine` of its noise anew, and keeps the part `kept` of its variance.

    1 - sine^2 in float32 is all rounding where next to nothing is kept, and its sign that of the last digit: below a
    hundredth `kept` takes its place, which is from float64.
    """
    x_0, noise = process.clean_from_velocity(x, velocity, t), process.noise_from_velocity(x, velocity, t)
    alpha, sigma, sine = _column(process.alpha(t_next)), _column(process.sigma(t_next)), _column(sine)
    rounded = 1 - sine.square()
    left = torch.where(rounded < _LITTLE, _column(kept).to(rounded.dtype), rounded).clamp(min=0).sqrt()
    return alpha * x_0 + sigma * left * noise, sigma * sine


def _difference_of_squares(
    step: DenoisingStep, old: DenoisingStep, x_next: Tensor, where: str, scale: Tensor
) -> Tensor:
    """`((x' - mean_old)^2 - (x' - mean)^2) / scale`, the mean over dimensions, without squaring what cancels."""
    if type(old) is not type(step) or not torch.equal(old.std, step.std):
        raise DinaError(
            f"{where}: a {type(step).__name__} of std {step.std.flatten().tolist()} and a {type(old).__name__} of std "
            f"{old.std.flatten().tolist()}; accepted: two steps of one kernel between the same levels"
        )
    _require_noise(step, where)
    mean, old_mean, x_next, scale = _in_float32(step.mean, old.mean, x_next, scale)
    moved = mean - old_mean
    return (moved * (2 * (x_next - old_mean) - moved) / scale).flatten(1).mean(1)


def _in_float32(*tensors: Tensor) -> list[Tensor]:
    return [tensor.to(torch.promote_types(tensor.dtype, torch.float32)) for tensor in tensors]


def _levels(x: Tensor, level: NoiseLevel, next_level: NoiseLevel) -> tuple[Tensor, Tensor]:
    t, t_next = (torch.as_tensor(value, dtype=x.dtype, device=x.device) for value in (level, next_level))
    # Reading values back would break a compiled graph; there the caller has checked.
    if not torch.compiler.is_compiling() and not bool(((t_next >= 0) & (t_next < t) & (t <= 1)).all()):
        raise DinaError(
            f"denoising step: from level {t.tolist()} to {t_next.tolist()}; accepted: 0 <= next_level < level <= 1"
        )
    return t, t_next


def _column(values: Tensor) -> Tensor:
    return values.reshape(-1, 1, 1, 1)


def _require_noise(step: DenoisingStep, what: str) -> None:
    if not torch.compiler.is_compiling() and not bool((step.std > 0).all()):
        raise DinaError(
            f"{what}: std is {step.std.flatten().tolist()}, and a step without noise has no density; accepted: "
            "steps with std > 0: a stochastic kernel with eta > 0, for cps and ddim at next_level > 0"
        )


def _require_share(where: str, eta: float) -> None:
    if not 0 <= eta <= 1:
        raise DinaError(f"{where}: eta is {eta}; accepted: a number in [0, 1]")
