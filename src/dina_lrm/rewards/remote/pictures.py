"""Pictures, as PNG in a multipart body, scored by a server at BASE/v1/score/images."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from jaxtyping import Float32
from PIL import Image
from torch import Tensor
from urllib3 import encode_multipart_formdata

from dina_lrm.rewards.remote.client import BYTES, RemoteClient
from dina_lrm.rewards.remote.protocol_2 import BYTES_AN_ITEM, read_scores
from dina_lrm.rewards.remote.service import Service

_QUICK: Final = 1
"""zlib's level: packing tighter takes longer than sending the difference."""


def score_pictures(
    client: RemoteClient,
    service: Service,
    images: Float32[Tensor, "batch 3 height width"],
    prompts: Sequence[str],
    levels: tuple[float, ...],
    seed: int | None,
) -> list[float]:
    """Raw scores of pictures in [0, 1], rounded to 8 bits; `levels` and `seed` are those of a latent reward model.

    Raises:
        RemoteRewardError: no answer, a refusal, or an answer that is none.
    """
    found: list[float] = []
    for files in _parts([*map(_png, images)], service):
        texts = [*prompts[len(found) : len(found) + len(files)]]
        asked: dict[str, Any] = {"model": service.model, "prompts": texts, "score": ["raw"]}
        asked |= {"levels": [*levels]} if levels else {}
        asked |= {} if seed is None else {"seeds": [seed]}
        parts: list[Any] = [("request", json.dumps(asked))]
        parts += [("image", ("image.png", data, "image/png")) for data in files]
        body, kind = encode_multipart_formdata(parts)
        most = BYTES + BYTES_AN_ITEM * len(files)
        answer = client.ask("POST", f"{service.base}/v1/score/images", body, {"content-type": kind}, most)
        found += read_scores(client, service, answer, "raw", len(files))
    return found


def _png(image: Tensor) -> bytes:
    pixels = (image.detach().float().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG", compress_level=_QUICK)
    return data.getvalue()


def _parts(files: list[bytes], service: Service) -> Iterator[list[bytes]]:
    """The files in parts that the server takes."""
    part: list[bytes] = []
    size = 0
    for data in files:
        if part and (len(part) >= service.most_items or size + len(data) > service.most_bytes):
            yield part
            part, size = [], 0
        part.append(data)
        size += len(data) + 256
    if part:
        yield part
