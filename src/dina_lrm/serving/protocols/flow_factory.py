"""`POST /compute` as Flow-Factory's remote reward sends it: prompts, and PNG pictures as base64.

    {"prompt": [...], "image": [...] | null, "video": null, "condition_images": null, "condition_videos": null}
    200  {"rewards": [...]}, or {"error": ".."}

Its client does not check the number of rewards: there is exactly one a prompt, or an error. Of another status than 200
it reads nothing, asks three times and says that it failed to connect; an error in a 200 it raises at once, as it is.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from dina_lrm.serving.items import ModelScores, PictureItem, Request
from dina_lrm.serving.limits import Limits
from dina_lrm.serving.pictures import Gallery, decoded
from dina_lrm.serving.problems import Problem, bad_request
from dina_lrm.serving.protocols.bodies import check_count, checked_prompt, read_body

_TOLD: Final = frozenset({400, 404, 413, 422})


class ComputeBody(BaseModel):
    """What Flow-Factory sends."""

    model_config = ConfigDict(extra="forbid", strict=True)

    prompt: list[str]
    image: list[str] | None = Field(default=None, description="PNG files as base64, one a prompt.")
    video: list[Any] | None = None
    condition_images: list[Any] | None = None
    condition_videos: list[Any] | None = None


def read_request(body: bytes, limits: Limits, model: str) -> Request:
    """The pictures of a body. Problem 400 where there are none, or videos."""
    asked = read_body(ComputeBody, body, limits)
    for name in ("video", "condition_images", "condition_videos"):
        if getattr(asked, name) is not None:
            raise bad_request("not_read", f"{name} is there; accepted: image alone")
    if asked.image is None or len(asked.image) != len(asked.prompt):
        count = "no images" if asked.image is None else f"{len(asked.image)} images"
        raise bad_request("bad_request", f"{count} for {len(asked.prompt)} prompts; accepted: one each")
    check_count(len(asked.prompt), limits)
    told = [checked_prompt(prompt, f"prompt[{row}]", limits) for row, prompt in enumerate(asked.prompt)]
    gallery = Gallery(limits)
    files = [gallery.of_base64(image, f"image[{row}]") for row, image in enumerate(asked.image)]
    found = [decoded(image, f"image[{row}]") for row, image in enumerate(files)]
    return Request(tuple(map(PictureItem, found, told)), (model,))


def answer_error(problem: Problem) -> dict[str, Any]:
    """The body of a 200 that says why there are no rewards. Raises a problem that is worth asking again for."""
    if problem.status not in _TOLD:
        raise problem
    return {"error": f"{problem.code}: {problem.message}"}


def answer(found: ModelScores) -> dict[str, Any]:
    """The body of a 200. Raises the first item's problem."""
    return {"rewards": found.raw("image[{}]")}
