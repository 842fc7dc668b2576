"""A diffusers pipeline from its folder, whichever variant of its weights each component is stored in."""

import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import diffusers.pipelines
import torch
from diffusers import DiffusionPipeline

from dina_lrm.backbones.dtype_argument import for_diffusers, for_transformers
from dina_lrm.backbones.weight_files import has_weights, stored_variant


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
    index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    listed = {name: kind for name, kind in index.items() if isinstance(kind, list) and kind[1] is not None}
    loaded = {}
    for name, (library, kind) in listed.items():
        place = folder / name
        if name in given or not (place / "config.json").is_file():
            continue
        _expect_weights(place)
        variant = stored_variant(place)
        if variant is not None:
            # One call of the pipeline's own takes one variant for all, and plain files where they are only beside it
            loaded[name] = _component(place, library, kind, dtype, variant)
    return pipeline_class.from_pretrained(folder, **for_diffusers(dtype), use_safetensors=True, **loaded, **given)


def _expect_weights(place: Path) -> None:
    if has_weights(place):
        return
    pickled = sorted(path.name for path in place.glob("*.bin"))
    told = f"holds {pickled[0]}, which may run code when it is read" if pickled else "holds no weights"
    raise ValueError(f"{place}: {told}; accepted: weights as *.safetensors, plain or of a variant")


def _component(place: Path, library: str, kind: str, dtype: torch.dtype, variant: str) -> Any:  # noqa: ANN401
    if library in ("diffusers", "transformers"):
        module = import_module(library)
    elif not library.startswith("_") and library.isidentifier() and hasattr(diffusers.pipelines, library):
        module = getattr(diffusers.pipelines, library)
    else:
        raise ValueError(f"{place}: of the library {library!r}; accepted: diffusers and transformers")
    argument = for_transformers(dtype) if library == "transformers" else for_diffusers(dtype)
    return getattr(module, kind).from_pretrained(place, **argument, variant=variant, use_safetensors=True)
