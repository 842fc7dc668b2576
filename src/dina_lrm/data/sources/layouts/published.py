"""Published data sets, recognised by their columns: a table of theirs is read as its own source reads it."""

from __future__ import annotations

from typing import Any, Final

from dina_lrm.data.sources import genai_bench, hpdv2, hpdv3, image_reward, pick_a_pic, released_latents
from dina_lrm.data.sources.layouts.layout import Kind, Layout, Part
from dina_lrm.data.sources.layouts.reading import Parse


def _layout(about: str, comparisons: Parse, *columns: tuple[str, Kind], **more: Any) -> Layout:  # noqa: ANN401
    """The layout of a source that reads these columns; `more` are fields of the layout."""
    parts = tuple(Part((name,), (name,), (), kind) for name, kind in columns)
    return Layout(about, parts, comparisons, **more)


LAYOUTS: Final[dict[str, Layout]] = {
    "pick-a-pic": _layout(
        "yuvalkirstain/pickapic_v1 and v2",
        pick_a_pic.comparisons,
        ("caption", "text"),
        ("jpg_0", "picture"),
        ("jpg_1", "picture"),
        ("label_0", "number"),
        ("label_1", "number"),
        also=("has_label",),
    ),
    "hpdv3": _layout(
        "MizzenAI/HPDv3",
        hpdv3.comparisons,
        ("prompt", "text"),
        ("path1", "picture"),
        ("path2", "picture"),
        ("choice_dist", "list"),
        ("confidence", "number"),
        conflict=hpdv3.conflict,
    ),
    "hpdv2": _layout(
        "ymhao/HPDv2, train",
        hpdv2.comparisons,
        ("prompt", "text"),
        ("file_path", "list"),
        ("human_preference", "list"),
    ),
    "hpdv2-test": _layout(
        "ymhao/HPDv2, test",
        hpdv2.comparisons,
        ("prompt", "text"),
        ("image_path", "list"),
        ("rank", "list"),
        also=("raw_annotations",),
    ),
    "imagereward": _layout(
        "zai-org/ImageRewardDB",
        image_reward.comparisons,
        ("id", "text"),
        ("prompt", "text"),
        ("generations", "list"),
        ("ranking", "list"),
    ),
    "genai-bench": _layout(
        "TIGER-Lab/GenAI-Bench, arena votes on images",
        genai_bench.comparisons,
        ("prompt", "text"),
        ("left_image", "picture"),
        ("right_image", "picture"),
        ("vote_type", "text"),
    ),
    "released-latents": _layout(
        "the pre-encoded Parquet released with the paper",
        released_latents.comparisons,
        ("prompt", "text"),
        ("latent1", "picture"),
        ("latent2", "picture"),
        also=("latent1_shape", "latent2_shape", "image1_path", "image2_path", "detailed_results"),
        conflict=released_latents.conflict,
    ),
}
