"""What the folder of a generator or judge may ask of the libraries that load it: weights and settings, never code.

`model_index.json` and the configurations beside the weights name classes, and releases of diffusers and transformers
have imported whatever module they named, or ran a file of that name that lay in the folder. So a folder is looked
through before anything of it is loaded: classes of diffusers and transformers that a generator is made of, no file of
code where one would be found, no key that leads to other code or to another model, weights as safetensors.
"""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError

from dina_lrm.runs.json_files import read_diffusers_config
from dina_lrm.typed import DinaError

INDEX: Final = "model_index.json"
COMPONENTS: Final = (
    *("transformer", "unet", "vae", "scheduler"),
    *(f"{name}{n}" for name in ("tokenizer", "text_encoder") for n in ("", "_2", "_3")),
)
"""Components of a generator that are loaded."""
_CLASSES: Final = {
    "diffusers": re.compile(
        r"(?!FlashPack)\w*(Autoencoder\w+|Transformer2DModel|UNet2DConditionModel|Scheduler)", re.A
    ),
    "transformers": re.compile(
        r"(CLIP|Siglip|T5|Qwen|Gemma|Llama|Mistral)\w+|PreTrainedTokenizerFast|TokenizersBackend", re.A
    ),
    "stable_diffusion": re.compile(r"(StableDiffusion|Safe)SafetyChecker"),
}
"""By library as `model_index.json` calls it; the last one is part of diffusers."""
_PIPELINE: Final = re.compile(r"[A-Z]\w*Pipeline", re.A)
_COMPONENT: Final = re.compile(r"[a-z]\w*", re.A)
_CODE_OF_PIPELINES: Final = ("None.py", "pipeline.py")
"""Found by diffusers in the folder itself where no code was asked for, and where some was."""
_LEADS_AWAY: Final = ("auto_map", "custom_pipeline", "custom_pipelines", "custom_generate", "trust_remote_code")
_KERNELS: Final = re.compile(r"_?(attn|experts)_implementation(_internal)?|_?kernel_config")
_MOST_BYTES: Final = 32 << 20
_UNLOADABLE: Final = (
    *(SafetensorError, OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, IndexError),
    *(AssertionError, ArithmeticError, ImportError),
)
"""What diffusers and transformers raise for files that are not as they wrote them."""
_LOADS: Final = threading.RLock()
_PICKLES: Final = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


def check_pipeline_folder(folder: Path) -> None:
    """Raise ValueError, naming file and key, for a pipeline that is not made of plain parts of the two libraries."""
    components = {*_check_index(folder / INDEX), *COMPONENTS}
    for name in _CODE_OF_PIPELINES:
        if (folder / name).exists():
            raise DinaError(_holds_code(folder / name))
    for place in sorted(path for path in folder.iterdir() if path.is_dir() and path.name in components):
        code = next((path for path in sorted(place.iterdir()) if path.suffix in (".py", ".pyc", ".so")), None)
        if code is not None:
            raise DinaError(_holds_code(code))
        if (place / INDEX).exists():
            raise DinaError(f"{place / INDEX}: a pipeline within a pipeline; accepted: parts without parts")
        check_model_folder(place)


def check_model_folder(folder: Path) -> None:
    """Raise ValueError, naming file and key, for configurations that lead to other code or to another model.

    Where there is none, there is nothing to object to.
    """
    if (folder / "adapter_config.json").exists() and (folder / "config.json").exists():
        raise DinaError(
            f"{folder / 'adapter_config.json'}: would have another model loaded in the place of this one; accepted: "
            "a whole model, its adapter merged"
        )
    for path in sorted(folder.glob("*.json")):
        if ".index." in path.name:
            check_shard_names(path)
        elif "config" in path.name:
            _check_config(path)


def check_shard_names(path: Path) -> dict[str, str]:
    """File by tensor, as an index of shards says it; ValueError for one that is not beside it as safetensors."""
    found = _read(path).get("weight_map")
    if not isinstance(found, dict) or not all(isinstance(shard, str) for shard in found.values()):
        raise DinaError(f"{path}: no weight_map of tensors and files; accepted: an index as diffusers writes it")
    for shard in set(found.values()):
        if Path(shard).name != shard or "\\" in shard or not shard.endswith((".safetensors", ".bin")):
            raise DinaError(f"{path}: names the file {shard!r}; accepted: *.safetensors beside it")
    return found


def expect_safetensors(folder: Path) -> None:
    """Raise ValueError for a model whose weights would have to be unpickled, which may run code."""
    if any(folder.glob("*.safetensors")):
        return
    pickled = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
    told = f"holds {pickled[0]}, which may run code when it is read" if pickled else "holds no weights"
    raise DinaError(f"{folder}: {told}; accepted: weights as *.safetensors")


@contextmanager
def one_load_at_a_time() -> Iterator[None]:
    """Where modules are made: one thread of the process at a time.

    While diffusers and accelerate load weights they replace methods of `torch.nn.Module`, for all threads: what another
    one makes meanwhile has no storage, and two of them may never take the replacement back.
    """
    with _LOADS:
        yield


@contextmanager
def loading(folder: Path) -> Iterator[None]:
    """Where a library loads what lies in `folder`: what it raises becomes a ValueError of one line that names it.

    One thread at a time: see `one_load_at_a_time`.
    """
    try:
        with _LOADS:
            yield
    except _UNLOADABLE as error:
        import torch

        if isinstance(error, torch.OutOfMemoryError):
            raise
        told = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise DinaError(f"{folder}: cannot be loaded ({told[:300]}); accepted: what its library wrote") from error


def _check_index(path: Path) -> list[str]:
    """The names of the components."""
    index = _read(path)
    for name, value in index.items():
        if name == "_class_name":
            if not (isinstance(value, str) and _PIPELINE.fullmatch(value)):
                raise DinaError(f"{path}: _class_name is {value!r}; accepted: the name of a pipeline of diffusers")
        elif name in _LEADS_AWAY or isinstance(value, dict):
            raise DinaError(f"{path}: {name!r} is {_shown(value)}; accepted: components and plain settings")
        elif isinstance(value, list) and not (_COMPONENT.fullmatch(name) and _is_plain_component(value)):
            raise DinaError(
                f"{path}: {name!r} is {_shown(value)}; accepted: [library, class] with the library diffusers or "
                "transformers and a class of encoders, tokenizers, models or schedulers"
            )
    return [name for name, value in index.items() if isinstance(value, list)]


def _is_plain_component(value: list[Any]) -> bool:
    if value == [None, None]:
        return True
    if len(value) != 2 or not all(isinstance(part, str) for part in value):
        return False
    library, kind = value
    return library in _CLASSES and _CLASSES[library].fullmatch(kind) is not None


def _check_config(path: Path) -> None:
    for name, value in _settings(_read(path)):
        if name in _LEADS_AWAY and value:
            raise DinaError(f"{path}: {name!r} is {_shown(value)}, code that is not run; accepted: models without it")
        if _KERNELS.fullmatch(name) and any("/" in word for word in _words(value)):
            raise DinaError(f"{path}: {name!r} is {_shown(value)}, code of the hub; accepted: ways torch has itself")
        if name == "use_pretrained_backbone" and value:
            raise DinaError(f"{path}: {name!r} would have another model fetched; accepted: models that are whole")
        if path.name == "scheduler_config.json" and name == "_class_name" and not _is_scheduler(value):
            raise DinaError(f"{path}: _class_name is {_shown(value)}; accepted: a scheduler of diffusers")


def _is_scheduler(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[A-Z]\w*Scheduler", value, re.A) is not None


def _settings(value: object) -> Iterator[tuple[str, object]]:
    """Every key of nested objects, with its value."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name, inner
            yield from _settings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _settings(inner)


def _words(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _words(inner)


def _read(path: Path) -> dict[str, Any]:
    size = path.stat().st_size if path.is_file() else 0
    if size > _MOST_BYTES:
        raise DinaError(f"{path}: {size:,} bytes; accepted: a configuration of at most {_MOST_BYTES:,}")
    return read_diffusers_config(path)


def _holds_code(path: Path) -> str:
    return f"{path}: code, which is never run, but might be by diffusers; accepted: a generator's folder without it"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
