r"""Forward processes and the change of basis between their predictions.

    x_t = alpha(t) x_0 + sigma(t) eps        the noisy state, t in [0, 1], t = 0 clean
    v   = a(t) x_0 + b(t) eps                the velocity, a direction of its own for each process

| process             | alpha          | sigma          | a      | b     |
|---------------------|----------------|----------------|--------|-------|
| rectified flow      | 1 - t          | t              | -1     | 1     |
| variance preserving | sqrt(abar)     | sqrt(1 - abar) | -sigma | alpha |

Both satisfy `alpha b - sigma a = 1`. The pairs (x_0, eps) and (x_t, v) are therefore two bases related by a matrix of
determinant one, and `x_0 = b x_t - sigma v`, `eps = alpha v - a x_t` hold at every t, the ends included.
"""

from abc import ABC, abstractmethod
from typing import TypeAlias, final

import torch
from jaxtyping import Float, Num
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from dina_lrm.typed import DinaError

NoiseLevel: TypeAlias = Float[Tensor, "..."] | float | int
"""A noise level in [0, 1]: a number, or a tensor of shape () or (batch,)."""
Timestep: TypeAlias = Num[Tensor, "..."] | float | int
"""A model's own timestep, in the same shapes."""
State: TypeAlias = Float[Tensor, "..."]
"""Latents of any shape, the same for all arguments; the first axis is the batch of a noise level of shape (batch,)."""


class ForwardProcess(ABC):
    """The path from data to noise that a generator was trained on.

    A subclass gives `alpha`, `sigma` and the velocity's coefficients with `alpha b - sigma a = 1`, and the conversion
    to its model's own timestep; everything else follows. Coefficients are computed in the noise level's dtype
    (float32 for a number), products in float32 at least; a result has the promoted dtype of its tensor arguments.

    Noise levels outside [0, 1] raise a ValueError, and so does a conversion at an end where it does not exist.

    A user's loop, from the noise end to the clean end:

        for t, s in itertools.pairwise(levels):                   # 1 = t > s > ... > 0
            v = model(x, process.timestep_from_noise_level(t), conditioning)
            x_0, noise = process.clean_from_velocity(x, v, t), process.noise_from_velocity(x, v, t)
            x = process.add_noise(x_0, noise, s)
    """

    num_train_timesteps: int
    """Timesteps of the model's training schedule, which sets the scale of its timestep input."""

    @abstractmethod
    def alpha(self, noise_level: NoiseLevel) -> Float[Tensor, "..."]:
        """Factor of the clean latents; 1 at noise level 0, falling. Same shape as `noise_level`."""

    @abstractmethod
    def sigma(self, noise_level: NoiseLevel) -> Float[Tensor, "..."]:
        """Factor of the noise; 0 at noise level 0, rising. Same shape as `noise_level`."""

    @abstractmethod
    def velocity_coefficients(self, noise_level: NoiseLevel) -> tuple[Float[Tensor, "..."], Float[Tensor, "..."]]:
        """Factors (a, b) of clean latents and noise in the velocity, with `alpha b - sigma a = 1`."""

    @abstractmethod
    def timestep_from_noise_level(self, noise_level: NoiseLevel) -> Float[Tensor, "..."]:
        """The timestep that a model of this process takes as input at `noise_level`."""

    @abstractmethod
    def noise_level_from_timestep(self, timestep: Timestep) -> Float[Tensor, "..."]:
        """The noise level at a model's own timestep."""

    def add_noise(self, x_0: State, noise: State, noise_level: NoiseLevel) -> State:
        """The noisy state `x_t = alpha x_0 + sigma eps` (paper, Eq. 6)."""
        return _combine(self.alpha(noise_level), x_0, self.sigma(noise_level), noise)

    def velocity(self, x_0: State, noise: State, noise_level: NoiseLevel) -> State:
        """The training target `v = a x_0 + b eps` (paper, Eq. 3)."""
        a, b = self.velocity_coefficients(noise_level)
        return _combine(a, x_0, b, noise)

    def clean_from_velocity(self, x_t: State, velocity: State, noise_level: NoiseLevel) -> State:
        """`x_0 = b x_t - sigma v`, at every noise level."""
        _, b = self.velocity_coefficients(noise_level)
        return _combine(b, x_t, -self.sigma(noise_level), velocity)

    def noise_from_velocity(self, x_t: State, velocity: State, noise_level: NoiseLevel) -> State:
        """`eps = alpha v - a x_t`, at every noise level."""
        a, _ = self.velocity_coefficients(noise_level)
        return _combine(self.alpha(noise_level), velocity, -a, x_t)

    def clean_from_noise(self, x_t: State, noise: State, noise_level: NoiseLevel) -> State:
        """`x_0 = (x_t - sigma eps) / alpha`, where alpha > 0."""
        alpha = _divisor(self.alpha(noise_level), "clean_from_noise", "alpha")
        return _combine(1 / alpha, x_t, -self.sigma(noise_level) / alpha, noise)

    def velocity_from_noise(self, x_t: State, noise: State, noise_level: NoiseLevel) -> State:
        """`v = (a x_t + eps) / alpha`, where alpha > 0."""
        alpha = _divisor(self.alpha(noise_level), "velocity_from_noise", "alpha")
        a, _ = self.velocity_coefficients(noise_level)
        return _combine(a / alpha, x_t, 1 / alpha, noise)

    def noise_from_clean(self, x_t: State, x_0: State, noise_level: NoiseLevel) -> State:
        """`eps = (x_t - alpha x_0) / sigma`, where sigma > 0."""
        sigma = _divisor(self.sigma(noise_level), "noise_from_clean", "sigma")
        return _combine(1 / sigma, x_t, -self.alpha(noise_level) / sigma, x_0)

    def velocity_from_clean(self, x_t: State, x_0: State, noise_level: NoiseLevel) -> State:
        """`v = (b x_t - x_0) / sigma`, where sigma > 0."""
        sigma = _divisor(self.sigma(noise_level), "velocity_from_clean", "sigma")
        _, b = self.velocity_coefficients(noise_level)
        return _combine(b / sigma, x_t, -1 / sigma, x_0)


@final
class RectifiedFlow(ForwardProcess):
    """Straight paths (Liu et al., 2022): `alpha = 1 - t`, `sigma = t`, `v = eps - x_0`.

    The model's timestep is `num_train_timesteps * t` (SD3, FLUX: 1000 t).
    """

    def __init__(self, num_train_timesteps: int = 1000) -> None:
        _check_timesteps(num_train_timesteps)
        self.num_train_timesteps = num_train_timesteps

    def __repr__(self) -> str:
        return f"RectifiedFlow(num_train_timesteps={self.num_train_timesteps})"

    def alpha(self, noise_level: NoiseLevel) -> Float[Tensor, "..."]:
        """`1 - t`."""
        return 1 - _checked(noise_level)

    def sigma(self, noise_level: NoiseLevel) -> Float[Tensor, "..."]:
        """`t`."""
        return _checked(noise_level)

    def velocity_coefficients(self, noise_level: NoiseLevel) -> tuple[Float[Tensor, "..."], Float[Tensor, "..."]]:
        """(-1, 1): the velocity points from data to noise at constant speed."""
        one = torch.ones_like(_checked(noise_level))
        return -one, one

    def timestep_from_noise_level(self, noise_level: NoiseLevel) -> Float[Tensor, "..."]:
        """`T t`."""
        return self.num_train_timesteps * _checked(noise_level)

    def noise_level_from_timestep(self, timestep: Timestep) -> Float[Tensor, "..."]:
        """`timestep / T`, for timesteps in [0, T]."""
        return _checked(_as_tensor(timestep) / self.num_train_timesteps, "timestep / num_train_timesteps")


@final
class VariancePreserving(ForwardProcess):
    """`alpha^2 + sigma^2 = 1` (Ho et al., 2020), from T values `abar_i = alpha^2`, one for each timestep 0 .. T - 1.

    Timestep i is noise level (i + 1) / T, and noise level 0 is the clean latent, which no timestep reaches. Between
    those levels alpha^2 is linear: variance is added at a constant rate within a timestep, the identity
    `alpha^2 + sigma^2 = 1` holds throughout, and both ends are exact, also with a terminal SNR of zero.
    The velocity is `v = alpha eps - sigma x_0` (Salimans and Ho, 2022).

    Raises:
        ValueError: if the values are empty, leave [0, 1] or rise.
    """

    def __init__(self, alphas_cumprod: Float[Tensor, " timesteps"]) -> None:
        values = alphas_cumprod.detach().to(device="cpu", dtype=torch.float64)
        _check_timesteps(values.numel())
        path = torch.cat([torch.ones(1, dtype=torch.float64), values])
        if not bool((path.diff() <= 0).all() & (path[-1] >= 0)):
            raise DinaError(
                f"VariancePreserving: alphas_cumprod goes from {values[0]:g} to {values[-1]:g} over {values.numel()} "
                "timesteps; accepted: values in [0, 1] that never rise"
            )
        self.num_train_timesteps = values.numel()
        self._alpha_squared = path
        self._sigma_squared = 1 - path

    def __repr__(self) -> str:
        last = self._alpha_squared[-1].sqrt().item()
        return f"VariancePreserving(num_train_timesteps={self.num_train_timesteps}, last alpha={last:.4g})"

    def alpha(self, noise_level: NoiseLevel) -> Float[Tensor, "..."]:
        """`sqrt(abar)`."""
        return self._read(self._alpha_squared, noise_level).sqrt()

    def sigma(self, noise_level: NoiseLevel) -> Float[Tensor, "..."]:
        """`sqrt(1 - abar)`."""
        return self._read(self._sigma_squared, noise_level).sqrt()

    def velocity_coefficients(self, noise_level: NoiseLevel) -> tuple[Float[Tensor, "..."], Float[Tensor, "..."]]:
        """(-sigma, alpha): the velocity is the state's derivative by the angle atan2(sigma, alpha)."""
        return -self.sigma(noise_level), self.alpha(noise_level)

    def timestep_from_noise_level(self, noise_level: NoiseLevel) -> Float[Tensor, "..."]:
        """`T t - 1`, a real number; below noise level 1 / T it is 0, the cleanest timestep that the model knows."""
        return (self.num_train_timesteps * _checked(noise_level) - 1).clamp(min=0)

    def noise_level_from_timestep(self, timestep: Timestep) -> Float[Tensor, "..."]:
        """`(timestep + 1) / T`, for timesteps in [0, T - 1]."""
        level = (_as_tensor(timestep) + 1) / self.num_train_timesteps
        return _checked(level, "(timestep + 1) / num_train_timesteps")

    def _read(self, table: Tensor, noise_level: NoiseLevel) -> Tensor:
        position = self.num_train_timesteps * _checked(noise_level)
        lower = position.detach().floor().clamp(max=self.num_train_timesteps - 1)
        table = table.to(device=position.device, dtype=position.dtype)
        index = lower.long()
        return torch.lerp(table[index], table[index + 1], position - lower)


def _check_timesteps(count: int) -> None:
    if count < 1:
        raise DinaError(f"ForwardProcess: {count} training timesteps were given; accepted: 1 or more")


def _as_tensor(number: NoiseLevel | Timestep) -> Tensor:
    if isinstance(number, Tensor):
        return number.to(torch.promote_types(number.dtype, torch.float32))
    return torch.tensor(number, dtype=torch.float32)


def _checked(noise_level: NoiseLevel, name: str = "noise level") -> Tensor:
    level = _as_tensor(noise_level)
    # Reading values back would break a compiled graph; there the caller has checked. Tensors on "meta", and
    # those that only a cost is counted on, have no values.
    readable = not (torch.compiler.is_compiling() or level.is_meta or isinstance(level, FakeTensor))
    if readable and not bool(((level >= 0) & (level <= 1)).all()):
        raise DinaError(f"{name} is {level.tolist()}; accepted: values in [0, 1], 0 = clean and 1 = noise")
    return level


def _divisor(coefficient: Tensor, conversion: str, symbol: str) -> Tensor:
    if not torch.compiler.is_compiling() and bool((coefficient == 0).any()):
        raise DinaError(
            f"{conversion}: {symbol} is 0 at the noise level given, so that x_t holds nothing of what is asked for; "
            f"accepted: noise levels with {symbol} > 0, or a conversion from the velocity, which exists everywhere"
        )
    return coefficient


def _combine(p: Tensor, x: Tensor, q: Tensor, y: Tensor) -> Tensor:
    """`p x + q y` with coefficients per batch entry, in float32 at least."""
    if x.shape != y.shape:
        raise DinaError(f"ForwardProcess: shapes {tuple(x.shape)} and {tuple(y.shape)} differ; they must be the same")
    if p.ndim > 1 or (p.ndim == 1 and p.shape[0] not in (1, x.shape[0])):
        raise DinaError(
            f"ForwardProcess: noise level of shape {tuple(p.shape)} for a state of shape {tuple(x.shape)}; "
            "accepted: one number or one per batch entry"
        )
    dtype = torch.promote_types(x.dtype, y.dtype)
    compute = torch.promote_types(dtype, torch.float32)
    columns = (-1,) + (1,) * (x.ndim - 1) if p.ndim == 1 else ()
    p, q = (c.to(device=x.device, dtype=compute).reshape(columns) for c in (p, q))
    return (p * x.to(compute) + q * y.to(compute)).to(dtype)
