"""Judges that know nothing: what a reward model has to beat, and what a hacked one often turns into.

sharpness      mean square of the grey Laplacian, in (grey levels / 255)^2
colourfulness  sqrt(s_rg^2 + s_yb^2) + 0.3 sqrt(m_rg^2 + m_yb^2), rg = R - G, yb = (R + G) / 2 - B
(Hasler and Suesstrunk 2003), for colours in [0, 1]
high frequency share of the Fourier power of the grey image above 1/4 cycle a pixel: fine texture, and the grids of
               over-optimised generators; a penalty on artefacts where its weight is below 0
jpeg size      minus bits a pixel as JPEG of quality 95: prefers what compresses well
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, final

import torch
from jaxtyping import Float32
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from dina_lrm.pictures.measures import GREY
from dina_lrm.rewards.base import PixelReward, check_images
from dina_lrm.typed import DinaError

_HIGH: Final = 0.25
"""Cycles a pixel."""
_FLAT: Final = 1e-6
"""Power below which an image is of one colour."""
_LAPLACIAN: Final = ((0.0, 1.0, 0.0), (1.0, -4.0, 1.0), (0.0, 1.0, 0.0))


@final
@dataclass(frozen=True)
class Sharpness(PixelReward):
    """Mean square of the Laplacian of the grey image: of what `pictures.measures.edge_strength` is the mean size."""

    name: str = "sharpness"
    differentiable: ClassVar[bool] = True

    @classmethod
    def load(cls, model: str) -> Sharpness:
        """The one there is."""
        return cls()

    def __call__(
        self, inputs: Float32[Tensor, "batch channels height width"], prompts: Sequence[str]
    ) -> Float32[Tensor, " batch"]:
        """Scores of images in [0, 1]; the prompts do not matter."""
        check_images(self.name, inputs, prompts)
        if min(inputs.shape[2:]) < 3:
            size = f"{inputs.shape[3]}x{inputs.shape[2]}"
            raise DinaError(f"{self.name}: a picture of {size} pixels has no edges; accepted: at least 3x3")
        grey = torch.einsum("bchw,c->bhw", inputs, inputs.new_tensor(GREY))[:, None]
        edges = F.conv2d(grey, inputs.new_tensor(_LAPLACIAN)[None, None])
        return edges.square().mean(dim=(1, 2, 3))


@final
@dataclass(frozen=True)
class HighFrequency(PixelReward):
    """Share of fine texture in the variation of the grey image, in [0, 1]; 0 for an image of one colour."""

    name: str = "high-frequency"
    differentiable: ClassVar[bool] = True

    @classmethod
    def load(cls, model: str) -> HighFrequency:
        """The one there is."""
        return cls()

    def __call__(
        self, inputs: Float32[Tensor, "batch channels height width"], prompts: Sequence[str]
    ) -> Float32[Tensor, " batch"]:
        """Scores of images in [0, 1]; the prompts do not matter."""
        check_images(self.name, inputs, prompts)
        grey = torch.einsum("bchw,c->bhw", inputs, inputs.new_tensor(GREY))
        sides = [torch.hann_window(side + 2, periodic=False).to(inputs)[1:-1] for side in grey.shape[1:]]
        window = sides[0][:, None] * sides[1][None, :]
        mean = (grey * window).sum(dim=(1, 2), keepdim=True) / window.sum()
        power = torch.fft.fft2((grey - mean) * window).abs().square()
        rows, columns = (torch.fft.fftfreq(side).to(inputs) for side in grey.shape[1:])
        high = torch.hypot(rows[:, None], columns[None, :]) > _HIGH
        return (power * high).sum(dim=(1, 2)) / power.sum(dim=(1, 2)).clamp(min=_FLAT)


@final
@dataclass(frozen=True)
class Colourfulness(PixelReward):
    """Spread and mean of the opponent colours."""

    name: str = "colourfulness"
    differentiable: ClassVar[bool] = True

    @classmethod
    def load(cls, model: str) -> Colourfulness:
        """The one there is."""
        return cls()

    def __call__(
        self, inputs: Float32[Tensor, "batch channels height width"], prompts: Sequence[str]
    ) -> Float32[Tensor, " batch"]:
        """Scores of images in [0, 1]; the prompts do not matter."""
        check_images(self.name, inputs, prompts)
        red, green, blue = inputs.flatten(2).unbind(1)
        opponents = torch.stack([red - green, (red + green) / 2 - blue])
        # The root has no gradient where a picture has one colour only
        spread = (opponents.var(dim=-1, correction=0).sum(0) + 1e-12).sqrt()
        return spread + 0.3 * (opponents.mean(dim=-1).square().sum(0) + 1e-12).sqrt()


@final
@dataclass(frozen=True)
class JpegSize(PixelReward):
    """Minus the bits a pixel that an image takes as a JPEG file; not differentiable."""

    quality: int = 95
    name: str = "jpeg-size"
    differentiable: ClassVar[bool] = False

    @classmethod
    def load(cls, model: str) -> JpegSize:
        """The one there is."""
        return cls()

    def __call__(
        self, inputs: Float32[Tensor, "batch channels height width"], prompts: Sequence[str]
    ) -> Float32[Tensor, " batch"]:
        """Scores of images in [0, 1]; the prompts do not matter."""
        check_images(self.name, inputs, prompts)
        pixels = (inputs.detach().clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        bits = [8 * self._bytes(Image.fromarray(image)) / (image.shape[0] * image.shape[1]) for image in pixels]
        return -torch.tensor(bits, dtype=torch.float32, device=inputs.device)

    def _bytes(self, image: Image.Image) -> int:
        buffer = io.BytesIO()
        image.save(buffer, format="JPEG", quality=self.quality)
        return buffer.tell()
