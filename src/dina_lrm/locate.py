"""From a name to a folder: "synthetic" (bundled), a local folder, or a Hugging Face hub id."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from dina_lrm.model_folders import COMPONENTS, INDEX, check_model_folder, check_pipeline_folder
from dina_lrm.typed import DinaError

Kind = Literal["generator", "reward_model", "judge"]

ASSETS: Final = Path(__file__).parent / "assets"
"""Data that ships inside the package."""
_SYNTHETIC = ASSETS / "synthetic"
BUNDLED: Final[Mapping[str, Mapping[Kind, Path]]] = {
    "synthetic": {"generator": _SYNTHETIC / "generator", "reward_model": _SYNTHETIC / "reward_model"},
    "synthetic-unet": {"generator": _SYNTHETIC / "unet"},
    "synthetic-cnn": {"judge": _SYNTHETIC / "cnn"},
}
"""Names that need neither a path nor a network."""
BUNDLED_LORAS: Final[Mapping[str, tuple[str, Path]]] = {"synthetic-uncurated": ("synthetic", _SYNTHETIC / "uncurated")}
"""Generators that are a bundled one with a LoRA: its name, and the LoRA's folder."""

GENERATOR_FILES: Final = (
    INDEX,
    "README.md",
    *(f"{component}/*" for component in COMPONENTS),
)
"""Components of a diffusers pipeline, and the card that states its licence; single-file copies of the same weights
beside them stay on the hub."""
GENERATOR_FILES_OF_LATENTS: Final = (
    *(pattern for pattern in GENERATOR_FILES if not pattern.startswith("text_encoder")),
    "text_encoder*/*.json",
)
"""The same without the weights of text encoders, for whoever is told prompts that are encoded already."""
GENERATOR_CONFIGS: Final = (INDEX, *(f"{component}/*.json" for component in COMPONENTS if component[:3] != "tok"))
"""What says how a generator is built: a few kilobytes."""
REWARD_MODEL_FILES: Final = ("*.json", "*.safetensors", "*.pt", "*.md")
JUDGE_FILES: Final = ("*.json", "*.safetensors", "*.txt", "*.jinja", "*.model", "README.md")
RUN_METRICS: Final = "metrics.jsonl"
"""What tells the folder of a run."""
MODEL_OF_RUN: Final = "model"
"""Where a run of training leaves its reward model."""
VARIANT_FILES: Final = ("*.fp16.*", "*.fp16-*", "*.bf16.*", "*.bf16-*")
"""Weights in half precision: second copies of the plain ones, or the only ones of a repository."""
_CODE: Final = ("*.py", "*.pyc", "*.so", "*.pkl", "*.pickle")
_OTHER_FORMATS: Final = ("*.bin", "*.ckpt", "*.h5", "*.msgpack", "*.onnx*", "*.gguf", *_CODE)
IGNORED_FILES: Final = (*VARIANT_FILES, *_OTHER_FORMATS)
"""Second copies of weights in other precisions and formats, and code, which is never run."""


@dataclass(frozen=True)
class _Wanted:
    kind: Kind
    label: str
    marker: str
    """The file that such a folder always has, or a pattern of it."""


_GENERATOR = _Wanted("generator", "generator", INDEX)
_REWARD_MODEL = _Wanted("reward_model", "reward model", "config.json")


def split_score(name: str | Path) -> tuple[str | Path, str | None]:
    """The place of a reward model and the name of one of its scores, written PLACE?score=NAME; None: its main one.

    A folder that is called so is a folder.
    """
    place, found, score = str(name).rpartition("?score=")
    return (name, None) if not found or not place or os.path.exists(str(name)) else (place, score)


def locate_generator(
    name: str | Path, revision: str | None = None, allow_patterns: Sequence[str] = GENERATOR_FILES
) -> Path:
    """Folder of a generator, a diffusers pipeline with `model_index.json`.

    A hub id is downloaded into the hub's cache, or found there; `allow_patterns` limits which files are.

    Raises:
        ValueError: if there is no such folder or repository, it cannot be reached, it holds something else, or asks
            for code or for other models (`model_folders`).
    """
    return _locate(_GENERATOR, name, revision, allow_patterns)


def locate_generator_configs(name: str | Path, revision: str | None = None) -> Path:
    """Folder with at least the configurations of a generator: of a hub id nothing else is fetched; else as above."""
    return _locate(_GENERATOR, name, revision, GENERATOR_CONFIGS)


def locate_reward_model(
    name: str | Path, revision: str | None = None, allow_patterns: Sequence[str] = REWARD_MODEL_FILES
) -> Path:
    """Folder of a reward model, ours or the one released with the paper, with `config.json`; else as a generator's.

    The folder of a run of training stands for the model that it left. What follows "?score=" is left aside.
    """
    return _locate(_REWARD_MODEL, split_score(name)[0], revision, allow_patterns)


def locate_judge(
    name: str | Path,
    revision: str | None = None,
    marker: str = "config.json",
    allow_patterns: Sequence[str] = JUDGE_FILES,
) -> Path:
    """Folder of a model that judges images, with the file `marker`; else as a generator's."""
    return _locate(_Wanted("judge", "judge", marker), name, revision, allow_patterns)


def _locate(wanted: _Wanted, name: str | Path, revision: str | None, allow_patterns: Sequence[str]) -> Path:
    bundled = BUNDLED.get(str(name), {}).get(wanted.kind)
    path = bundled or Path(name).expanduser()
    if bundled and not path.is_dir():
        raise DinaError(f"The bundled {wanted.label} {name!r} is not in this installation: there is no {path}")
    if os.path.exists(path):  # False too for what is too long to be a name
        if revision is not None:
            raise DinaError(
                f"revision {revision!r} was given for the folder {str(path)!r}; it is accepted with a hub id only"
            )
        return _with_marker(wanted, model_of_run(path) if wanted is _REWARD_MODEL else path)
    if not re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", str(name), re.ASCII):
        raise DinaError(f"There is no {wanted.label} {str(name)!r}: {_accepted(wanted)}")
    return _with_marker(wanted, _download(wanted, str(name), revision, allow_patterns))


def absolute(name: str) -> str:
    """A folder or file by its whole path, so that what remembers it finds it from anywhere; any other name as it is."""
    place, score = split_score(name)
    if place in BUNDLED or place in BUNDLED_LORAS or not os.path.exists(path := Path(place).expanduser()):
        return name
    return os.path.abspath(path) + ("" if score is None else f"?score={score}")


def components_without_weights(folder: Path) -> list[str]:
    """The components of a pipeline folder that have a configuration of a model and no weights as safetensors."""
    models = sorted(path.parent for path in folder.glob("*/config.json"))
    return [place.name for place in models if not any(place.glob("*.safetensors"))]


def _with_marker(wanted: _Wanted, path: Path) -> Path:
    if not path.is_dir():
        raise DinaError(f"{str(path)!r} is a file; {_accepted(wanted)}")
    if not any(path.glob(wanted.marker)):
        raise DinaError(
            f"The folder {str(path)!r} has no {wanted.marker}, as a {wanted.label} has; {_accepted(wanted)}"
        )
    if wanted is _GENERATOR:
        check_pipeline_folder(path)
    elif wanted.kind == "judge":
        check_model_folder(path)
    return path


def model_of_run(path: Path) -> Path:
    """The reward model in the folder of a run of training; any other path as it is.

    Raises ValueError for a run that has not left one yet.
    """
    if not (path / RUN_METRICS).is_file():
        return path
    model = path / MODEL_OF_RUN
    if not (model / _REWARD_MODEL.marker).is_file():
        tunes = " (its LoRA tunes a generator, and scores nothing)" if (path / "lora").is_dir() else ""
        raise DinaError(
            f"{path}: is the folder of a run; it holds no {model} yet{tunes}; accepted: a run of train that has ended, "
            "or another reward model"
        )
    return model


def _accepted(wanted: _Wanted) -> str:
    bundled = [repr(name) for name, kinds in BUNDLED.items() if wanted.kind in kinds and kinds[wanted.kind].is_dir()]
    first = f"{', '.join(bundled)} (bundled), " if bundled else ""
    return f"accepted: {first}a local folder with {wanted.marker}, or a Hugging Face hub id owner/name"


def _download(wanted: _Wanted, name: str, revision: str | None, allow_patterns: Sequence[str]) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        folder = snapshot_download(
            name, revision=revision, allow_patterns=list(allow_patterns), ignore_patterns=list(IGNORED_FILES)
        )
        whole = wanted is _GENERATOR and allow_patterns is not GENERATOR_CONFIGS
        bare = [each for each in components_without_weights(Path(folder)) if f"{each}/*" in allow_patterns]
        if whole and bare:
            only = [f"{component}/{pattern}" for component in bare for pattern in VARIANT_FILES]
            folder = snapshot_download(
                name, revision=revision, allow_patterns=only, ignore_patterns=list(_OTHER_FORMATS)
            )
    except GatedRepoError as error:
        reason = f"its licence has to be accepted at https://huggingface.co/{name}, then log in with `hf auth login`"
        raise DinaError(_not_available(wanted, name, reason)) from error
    except RevisionNotFoundError as error:
        raise DinaError(_not_available(wanted, name, f"it has no revision {revision!r}")) from error
    except RepositoryNotFoundError as error:
        reason = "neither this folder nor this public hub repository exists (a private one needs `hf auth login`)"
        raise DinaError(_not_available(wanted, name, reason)) from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        reason = "there is no such folder, the hub cannot be reached, and its cache does not hold it"
        raise DinaError(_not_available(wanted, name, reason)) from error
    except (HfHubHTTPError, HFValidationError) as error:
        raise DinaError(_not_available(wanted, name, str(error))) from error
    return Path(folder)


def _not_available(wanted: _Wanted, name: str, reason: str) -> str:
    return (
        f"The {wanted.label} {name!r} is not available: {reason}. To work offline, run `hf download {name}` where "
        "there is a network and give the folder it prints, or copy the hub's cache (HF_HOME) and set HF_HUB_OFFLINE=1; "
        f"{_accepted(wanted)}"
    )
