"""A diffusers pipeline from its folder, whichever variant of its weights each component is stored in."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline

from dina_lrm.backbones.dtype_argument import for_diffusers, for_transformers
from dina_lrm.backbones.weight_files import has_weights, stored_variant
from dina_lrm.model_folders import INDEX, check_pipeline_folder, expect_safetensors, loading
from dina_lrm.runs.json_files import read_json_object


def load_pipeline(
    folder: Path,
    dtype: torch.dtype,
    given: Mapping[str, object] | None = None,
    pipeline_class: type[DiffusionPipeline] = DiffusionPipeline,
) -> Any:  # noqa: ANN401 - of `pipeline_class`, or of the class that the folder names
    """The pipeline in `folder` with its weights in `dtype`; `given` are components at hand, None for one to do without.

    Raises ValueError where a component has no weights in the safetensors format, or is of another library.
    """
    given = dict(given or {})
    check_pipeline_folder(folder)
    index = read_json_object(folder / INDEX)
    listed = {name: kind for name, kind in index.items() if isinstance(kind, list) and kind[1] is not None}
    loaded = {}
    for name, (library, kind) in listed.items():
        place = folder / name
        if name in given or not (place / "config.json").is_file():
            continue
        if not has_weights(place):
            expect_safetensors(place)
        variant = stored_variant(place)
        if variant is not None:
            # One call of the pipeline's own takes one variant for all, and plain files where they are only beside it
            loaded[name] = load_component(place, library, kind, dtype)
    with loading(folder):
        return pipeline_class.from_pretrained(folder, **for_diffusers(dtype), use_safetensors=True, **loaded, **given)


def component_class(library: str, kind: str) -> type[Any]:
    """The class that `model_index.json` names."""
    module = import_module(library if library in ("diffusers", "transformers") else f"diffusers.pipelines.{library}")
    found: type[Any] = getattr(module, kind)
    return found


def load_component(place: Path, library: str, kind: str, dtype: torch.dtype) -> Any:  # noqa: ANN401
    """One model of a pipeline folder, whichever variant of its weights is stored; mapped where `dtype` is the stored
    one.
    """
    argument = for_transformers(dtype) if library == "transformers" else for_diffusers(dtype)
    variant = stored_variant(place)
    with loading(place):
        return component_class(library, kind).from_pretrained(place, **argument, variant=variant, use_safetensors=True)
