"""Parts that several layouts share: the prompt, and both images of a pair, with the names that people give them."""

from __future__ import annotations

from typing import Final

from dina_lrm.data.sources.layouts.layout import Part

PROMPT_NAMES: Final = ("prompt", "caption", "text", "prompts", "prompt_en", "prompt_zh", "prompt_cn", "prompt_text")
_SIDES: Final = (("0", "1"), ("1", "2"), ("a", "b"), ("left", "right"))


def sided(*forms: str) -> tuple[tuple[str, str], ...]:
    """Both names of a pair in each form, such as `image_{}`, for each way of telling two sides apart."""
    return tuple((form.format(first), form.format(second)) for form in forms for first, second in _SIDES)


PROMPT: Final = Part(("prompt",), ("prompt",), tuple((name,) for name in PROMPT_NAMES), "text")
PAIR: Final = Part(
    ("image_a", "image_b"),
    ("first image", "second image"),
    sided("image_{}", "image{}", "jpg_{}", "img_{}", "img{}", "{}_image", "picture_{}", "path{}", "path_{}"),
    "picture",
)
