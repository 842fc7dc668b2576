"""What decides latents and conditioning of a generator: its VAE and its text encoders, by what their files hold.

A folder that was moved or copied is the same generator; another one under the same name is not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

from dina_lrm.backbones.generator_folder import generator_folder
from dina_lrm.locate import BUNDLED, IGNORED_FILES
from dina_lrm.runs.content import content_of

_COMPONENTS: Final = ("vae", *(f"{name}{n}" for name in ("tokenizer", "text_encoder") for n in ("", "_2", "_3")))
_LONG: Final = ("tokenizer_3", "text_encoder_3")
"""T5 beside two short encoders: where no length is given to it, it is not read."""
_DENOISERS: Final = ("transformer", "unet", "scheduler")
_UNREAD: Final = ("_name_or_path", "_diffusers_version", "transformers_version", "_commit_hash")
"""Keys of a component's configuration that say how it was stored, and decide nothing."""


def encoders_content(pretrained: str, revision: str | None, prompt_length: int) -> str:
    """One hash of the files of the VAE and the text encoders of a generator; empty where it is not on this machine."""
    return _of_components(_COMPONENTS, pretrained, revision, prompt_length)


def generator_content(pretrained: str, revision: str | None, prompt_length: int) -> str:
    """One hash of all that a score depends on in a generator; empty where it is not on this machine."""
    return _of_components((*_COMPONENTS, *_DENOISERS), pretrained, revision, prompt_length)


def _of_components(components: Sequence[str], pretrained: str, revision: str | None, prompt_length: int) -> str:
    folder = _local_folder(pretrained, revision)
    if folder is None:
        return ""
    digest = hashlib.sha256()
    for component in components:
        if prompt_length > 0 or component not in _LONG:
            for path in _files(folder / component):
                digest.update(f"{component}/{path.name} {_content(path)}\n".encode())
    return digest.hexdigest()


def _local_folder(pretrained: str, revision: str | None) -> Path | None:
    bundled = BUNDLED.get(pretrained, {}).get("generator")
    path = bundled or Path(pretrained).expanduser()
    if path.suffix == ".safetensors" and path.is_file():
        return generator_folder(path)
    if (path / "model_index.json").is_file():
        return path
    if path.exists() or pretrained.count("/") != 1:
        return None
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(pretrained, revision=revision, local_files_only=True))
    except Exception:  # the hub's own errors for a name it does not keep here
        return None


def _files(component: Path) -> list[Path]:
    """The files that are read: second copies of weights in other precisions and formats count where there are no
    others.
    """
    found = sorted(path for path in component.glob("*") if path.is_file() and not path.name.startswith("."))
    first = [path for path in found if not any(fnmatch(path.name, pattern) for pattern in IGNORED_FILES)]
    return first if any(path.suffix == ".safetensors" for path in first) or not _has_weights(found) else found


def _has_weights(files: list[Path]) -> bool:
    return any(path.suffix in (".safetensors", ".bin") for path in files)


def _content(path: Path) -> str:
    if path.name != "config.json":
        return content_of(path)
    try:
        values = json.loads(path.read_bytes())
        told = {name: value for name, value in values.items() if name not in _UNREAD}
    except (ValueError, AttributeError):
        return content_of(path)
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
