"""Which weights lie in a model folder of diffusers or transformers: plain files, or a variant such as fp16.

model.safetensors                                plain
diffusion_pytorch_model.fp16.safetensors         of a variant, as diffusers and transformers write it
model.safetensors.index.fp16.json                the index of its shards
model.fp16-00001-of-00002.safetensors            a shard, in either of the two spellings that are in use
model-00001-of-00002.fp16.safetensors
"""

import logging
import re
from pathlib import Path
from typing import Final

from dina_lrm.model_folders import check_shard_names
from dina_lrm.runs.tensor_files import opened_tensors
from dina_lrm.typed import DinaError

DIFFUSERS, TRANSFORMERS = "diffusion_pytorch_model", "model"
"""How the two libraries begin the names of their weights' files."""
VARIANTS: Final = ("fp32", "fp16", "bf16")
"""In the order in which they are taken where no plain files are."""
_NAME: Final = re.compile(
    r"(?:diffusion_pytorch_model|pytorch_model|model)(?:\.(?P<first>\w+?))?(?:-\d+-of-\d+)?(?:\.(?P<second>\w+))?"
    r"\.safetensors"
)
_log = logging.getLogger(__name__)


def stored_variant(folder: Path) -> str | None:
    """The variant of the weights in a model folder, as `from_pretrained` asks for it; None for plain ones, or for none.

    Plain files are taken before those of a variant. Raises ValueError where all are of variants that nobody knows.
    """
    found = _variants(folder)
    if not found or None in found:
        return None
    variant = next((known for known in VARIANTS if known in found), None)
    if variant is None:
        names = ", ".join(sorted(filter(None, found)))
        raise DinaError(f"{folder}: holds weights of the variants {names}; accepted: plain, {', '.join(VARIANTS)}")
    _log.info("%s: the %s weights are read, plain ones are not there", folder, variant)
    return variant


def has_weights(folder: Path) -> bool:
    """Whether a folder holds weights in the safetensors format, plain or of a variant."""
    return bool(_variants(folder))


def tensor_files(folder: Path, stem: str = DIFFUSERS) -> dict[str, Path]:
    """The safetensors file of each tensor of a model folder: one file or shards, full or of a variant.

    Raises FileNotFoundError when there is none.
    """
    variant = stored_variant(folder)
    middle = "" if variant is None else f".{variant}"
    single = folder / f"{stem}{middle}.safetensors"
    if single.is_file():
        with opened_tensors(single) as tensors:
            return dict.fromkeys(tensors.keys(), single)
    for index in (f"{stem}.safetensors.index{middle}.json", f"{stem}{middle}.safetensors.index.json"):
        if (folder / index).is_file():
            return {name: folder / shard for name, shard in check_shard_names(folder / index).items()}
    raise FileNotFoundError(
        f"{folder}: no weights; expected {stem}.safetensors or its shards with an index, plain or of a variant "
        f"({', '.join(VARIANTS)})"
    )


def _variants(folder: Path) -> set[str | None]:
    matches = (_NAME.fullmatch(path.name) for path in folder.glob("*.safetensors"))
    return {match["first"] or match["second"] for match in matches if match}
