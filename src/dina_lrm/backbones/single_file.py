"""A generator that is one file (Stable Diffusion 1.5, XL and 3, FLUX, ...), unpacked by diffusers' own loader.

The file holds weights in the names of the code that they were published with. Configurations and tokenizers, and what
else the file lacks (often the text encoders, or the autoencoder), come from the folder of the same name beside it
(`mine.safetensors`, `mine/`), or from the repository that diffusers takes for such weights. The pipeline's folder that
comes out is kept in `$XDG_CACHE_HOME/dina-lrm/generators`, and made anew when the file or that folder changes.
"""

import hashlib
import logging
import os
import re
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import diffusers
import torch
from diffusers.loaders.single_file_utils import (
    SingleFileComponentError,
    fetch_diffusers_config,
    load_single_file_checkpoint,
)
from safetensors import safe_open

from dina_lrm.backbones.dtype_argument import for_diffusers, for_transformers
from dina_lrm.backbones.weight_files import has_weights, stored_variant
from dina_lrm.locate import locate_generator
from dina_lrm.model_folders import INDEX, loading
from dina_lrm.runs.json_files import read_json_object
from dina_lrm.runs.ownership import made_folder
from dina_lrm.typed import DinaError

KIND: Final = "unpacked generator"
_CONFIGS: Final = (INDEX, "*/config.json", "scheduler/*.json", "tokenizer*/*")
"""What no file of weights holds."""
_UNREAD: Final = ("safety_checker", "feature_extractor", "image_encoder")
_PARTS: Final = {
    "vae": ("first_stage_model.", "vae.", "decoder.", "model.vae."),
    "text_encoder": ("cond_stage_model.", "conditioner.", "text_encoder", "te."),
}
"""How the names of tensors begin where a file holds more than the model."""
_NAMED: Final = re.compile(r"^(\w+) = \w+\.from_pretrained", re.MULTILINE)
_TYPES: Final = {"F64": torch.float32, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_log = logging.getLogger(__name__)


def unpacked(file: Path) -> Path:
    """The pipeline folder of one file of weights, made on the first call.

    Raises ValueError for another format than safetensors, for a file that diffusers cannot read, and, naming what is
    needed and where it goes, where configurations or parts are missing.
    """
    if file.suffix.lower() != ".safetensors":
        raise DinaError(f"{file}: may run code when it is read, or is quantised; accepted: one file of *.safetensors")
    beside = file.with_suffix("")
    base = beside if (beside / INDEX).is_file() else None
    place = _cache() / f"{file.stem}-{_identity(file, base)}"
    if not (place / INDEX).is_file():
        pipeline = _loaded(file, base)
        _log.warning("%s is unpacked once into %s, and read from there", file, place)
        with made_folder(place, KIND) as temporary:
            pipeline.save_pretrained(temporary)
    return place


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dina-lrm" / "generators"


def _identity(file: Path, base: Path | None) -> str:
    """What the folder is made of: hashing gigabytes at every start would take longer than anything else."""
    parts = [file, *(sorted(base.rglob("*.json")) if base is not None else ())]
    told = [f"{os.path.abspath(part)} {part.stat().st_size} {part.stat().st_mtime_ns}" for part in parts]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]


def _loaded(file: Path, base: Path | None) -> Any:  # noqa: ANN401 - of the class that the configurations name
    names, dtype = _tensors(file)
    folder = base if base is not None else _default(file, _CONFIGS)
    listed = {name: kind for name, kind in read_json_object(folder / INDEX).items() if isinstance(kind, list)}
    kind = getattr(diffusers, str(read_json_object(folder / INDEX).get("_class_name")), None)
    if kind is None:
        raise DinaError(f"{folder / INDEX}: names no pipeline of diffusers {diffusers.__version__}")
    given: dict[str, Any] = {name: None for name in _UNREAD if name in listed}
    for part, begins in _PARTS.items():
        if not any(name.startswith(begins) for name in names):
            wanted = [name for name in listed if name.removesuffix("_2").removesuffix("_3") == part]
            given |= {name: _component(file, base, name, dtype) for name in wanted}
    while True:
        try:
            with loading(file):
                return kind.from_single_file(
                    str(file), config=str(folder), local_files_only=True, **for_diffusers(dtype), **given
                )
        except SingleFileComponentError as error:
            missing = _NAMED.search(str(error))
            if missing is None or missing[1] in given:
                raise DinaError(f"{file}: cannot be loaded ({str(error).splitlines()[0]})") from error
            given[missing[1]] = _component(file, base, missing[1], dtype)


def _tensors(file: Path) -> tuple[list[str], torch.dtype]:
    """Names of the tensors, and the type of most of them."""
    with loading(file), safe_open(str(file), "pt") as opened:
        names = list(opened.keys())
        types = Counter(opened.get_slice(name).get_dtype() for name in names)
    most = next((name for name, _ in types.most_common() if name in _TYPES), "F32")
    if any(name.startswith(("F8", "F4", "U8", "I8")) for name in types):
        raise DinaError(f"{file}: holds weights of eight bits or fewer; accepted: float32, float16 and bfloat16")
    return names, _TYPES[most]


def _default(file: Path, patterns: tuple[str, ...] | None = None) -> Path:
    """The repository that diffusers takes for such weights, from the hub or its cache."""
    with loading(file):
        known = fetch_diffusers_config(load_single_file_checkpoint(str(file)))["pretrained_model_name_or_path"]
    try:
        return locate_generator(known) if patterns is None else locate_generator(known, allow_patterns=patterns)
    except DinaError as error:
        raise DinaError(
            f"{file}: one file of weights, whose configurations and tokenizers are those of {known}, which cannot be "
            f"had ({str(error).split(': ', 1)[-1].split('. To work')[0]}); accepted: a folder {file.with_suffix('')} "
            f"beside it with {INDEX}, the config.json of each component, scheduler and tokenizers of its family"
        ) from error


def _component(file: Path, base: Path | None, name: str, dtype: torch.dtype) -> Any:  # noqa: ANN401 - of any class
    """A part that the file lacks, from the folder beside it or from the repository."""
    folder = base if base is not None else _default(file)
    place = folder / name
    if not has_weights(place):
        if name == "text_encoder_3":  # Stable Diffusion 3 can do without its long text encoder
            return None
        raise DinaError(f"{file}: holds no {name}, and {place} has no weights of one; accepted: weights there")
    library, kind = read_json_object(folder / INDEX)[name]
    argument = for_transformers(dtype) if library == "transformers" else for_diffusers(dtype)
    with loading(place):
        found = getattr(import_module(library), kind)
        return found.from_pretrained(place, **argument, variant=stored_variant(place), use_safetensors=True)
