"""A stored reward model: a folder that is complete or absent, and whose every tensor has its place.

    config.json            `RewardModelConfig`
    head.safetensors       the head, float32
    reward_lora/           the LoRA as a PEFT folder, when there is one
    backbone.safetensors   the transformer's weights, only when all of them were trained
    text_encoder/ (_2/)    the text encoders, only when they were trained too
    README.md              model card
    .dina-lrm.json         that this library wrote the folder, and what: only then may another model replace it

No pickle is written. The folders released with the paper and published with LRM are read too (`released.py`,
`published_lrm.py`), and converted by writing them again.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from huggingface_hub import HfApi
from torch import Tensor

from dina_lrm import __version__
from dina_lrm.cards.measured import Measurement, measurements, merged
from dina_lrm.heads.base import Head
from dina_lrm.heads.names import check_known, parsed_weights
from dina_lrm.locate import locate_reward_model, split_score
from dina_lrm.reward_model.card import model_card, with_results
from dina_lrm.reward_model.config import RewardModelConfig
from dina_lrm.reward_model.formats.lrm import is_published_lrm, read_published_lrm
from dina_lrm.reward_model.formats.paper import read_released
from dina_lrm.reward_model.formats.stored import StoredModel, copy_strictly, existing, read_json
from dina_lrm.reward_model.formats.wholeness import check_whole
from dina_lrm.runs.files import save_tensors, write_json, write_text
from dina_lrm.runs.ownership import amended_folder, changed_files, check_amendable, check_replaceable, made_folder
from dina_lrm.runs.tensor_files import load_tensors

if TYPE_CHECKING:
    from dina_lrm.backbones.base import Backbone

KIND = "reward model"
CONFIG, CARD = "config.json", "README.md"
HEAD, LORA, BACKBONE = "head.safetensors", "reward_lora", "backbone.safetensors"
TEXT_ENCODERS = ("text_encoder", "text_encoder_2")
LORA_FILES = ("adapter_config.json", "adapter_model.safetensors")


def read(name: str | Path, revision: str | None = None, backbone: str | None = None) -> StoredModel:
    """Read "synthetic", a folder (ours or released with the paper) or a hub id.

    With "?score=NAME" behind it that score is the main one, whichever was when it was stored; with weights of several
    the names are checked, and the model is as it was stored. `backbone` replaces the stored name of the generator:
    another place of the same weights. Raises FileNotFoundError naming a missing file, ValueError for a file that is not
    what it should be.
    """
    place, score = split_score(name)
    if is_published_lrm(Path(place)):
        stored = read_published_lrm(Path(place))
    else:
        folder = locate_reward_model(place, revision)
        values = read_json(folder / CONFIG)
        released = "model" in values and "backbone" not in values
        stored = read_released(folder, values) if released else _read_ours(folder, values)
    if score is not None:
        stored = replace(stored, config=_of_score(stored.config, score, str(name)))
    if backbone is None:
        return stored
    moved = replace(stored.config.backbone, pretrained=backbone, revision=None)
    return replace(stored, config=replace(stored.config, backbone=moved))


def write(folder: str | Path, stored: StoredModel) -> None:
    """Write a model's folder under a temporary name, then give it its own: complete or not at all.

    An earlier reward model of that name is replaced, if this library wrote it and nobody changed it since: its marker
    says so. Raises ValueError, a FileExistsError too, for a folder that holds anything else; it stays as it is.
    """
    with made_folder(Path(folder), KIND) as temporary:
        _write_files(temporary, stored)


def check_free(folder: str | Path) -> None:
    """Refuse what `write` would refuse, before there is anything to write."""
    check_replaceable(Path(folder), KIND)


def record(folder: Path, rows: Sequence[Measurement]) -> RewardModelConfig:
    """Keep measurements with a stored model: in the notes of its configuration, and in its card.

    Those of the same set, read and counted in the same way, give way. A card that somebody has written on keeps what
    was written. Complete or not at all. Raises ValueError as `check_recordable`.
    """
    with amended_folder(folder, KIND, (CARD,)) as made:
        file = made / CONFIG
        config = RewardModelConfig.from_dict(read_json(file), str(folder / CONFIG))
        notes = {**config.notes, "results": merged(measurements(config.notes), rows)}
        config = replace(config, notes=notes)
        theirs = changed_files(folder).get(CARD) and (made / CARD).is_file()
        card = with_results(made / CARD, config) if theirs else model_card(config)
        write_json(file, config.to_dict())
        write_text(made / CARD, str(card))
    return config


def check_recordable(folder: Path) -> None:
    """Refuse what `record` would refuse, before anything is measured: what this library did not write, or has changed
    since, the card aside.
    """
    check_amendable(folder, KIND, (CARD,))
    if changed_files(folder).get(CARD) and (folder / CARD).is_file():
        with_results(folder / CARD, RewardModelConfig.from_dict(read_json(folder / CONFIG), str(folder / CONFIG)))


def push(
    repo_id: str,
    stored: StoredModel,
    private: bool | None = None,
    token: str | None = None,
    message: str = "Upload reward model",
) -> str:
    """Upload a model's folder to the hub, in a repository made if needed; the address of the commit."""
    api = HfApi(token=token)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        write(folder, stored)
        api.create_repo(repo_id, private=private, exist_ok=True)
        return str(api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message=message))


def convert(source: str | Path, out: str | Path, backbone: str | None = None) -> RewardModelConfig:
    """Write a reward model of any readable format as our folder; the generator itself is not needed.

    `backbone` is stored as the generator's name instead of the one found. Returns the configuration written. Raises
    ValueError as `read`, and for tensors of head and LoRA that do not fit each other.
    """
    stored = read(source, backbone=backbone)
    check_whole(stored)
    write(out, stored)
    return stored.config


def load_weights(stored: StoredModel, backbone: Backbone, head: Head) -> None:
    """Copy a stored model's tensors into a freshly made backbone and head.

    Raises ValueError naming any missing, unexpected or misshapen tensor.
    """
    copy_strictly("head", head.state_dict(), stored.head)
    if stored.lora is not None:
        backbone.load_lora(stored.lora)
    if stored.backbone is not None:
        backbone.unfreeze()
        copy_strictly("backbone", backbone_weights(backbone), stored.backbone)
    if stored.text_encoders is not None:
        backbone.use_text_encoders(stored.text_encoders)


@contextmanager
def to_store(config: RewardModelConfig, backbone: Backbone, head: Head) -> Iterator[StoredModel]:
    """A model in memory as it would be stored; its LoRA lies in a folder that exists inside the context."""
    with tempfile.TemporaryDirectory() as temporary:
        lora = None
        if config.lora is not None:
            lora = Path(temporary) / LORA
            backbone.save_lora(lora)
        own = backbone_weights(backbone) if config.own_backbone else None
        yield StoredModel(config, head.state_dict(), lora, own, backbone.text_encoders)


def _of_score(config: RewardModelConfig, score: str, where: str) -> RewardModelConfig:
    if ":" in score:  # weights of several, which the model is read by; none of them becomes the main one
        for name in parsed_weights(where, score):
            check_known(where, name, config.names)
        return config
    check_known(where, score, config.names)
    return config.with_scales({}, main=score)


def _read_ours(folder: Path, values: Mapping[str, object]) -> StoredModel:
    config = RewardModelConfig.from_dict(values, str(folder / CONFIG))
    return StoredModel(
        config,
        head=load_tensors(existing(folder / HEAD)),
        lora=None if config.lora is None else existing(folder / LORA),
        backbone=load_tensors(existing(folder / BACKBONE)) if config.own_backbone else None,
        text_encoders=existing(folder / TEXT_ENCODERS[0]).parent if config.own_text_encoders else None,
    )


def _write_files(folder: Path, stored: StoredModel) -> None:
    write_json(folder / CONFIG, stored.config.to_dict() | {"library_version": __version__})
    save_tensors(folder / HEAD, _in_float32(stored.head))
    if stored.lora is not None:
        (folder / LORA).mkdir()
        for name in LORA_FILES:
            shutil.copyfile(existing(stored.lora / name), folder / LORA / name)
    if stored.backbone is not None:
        save_tensors(folder / BACKBONE, stored.backbone)
    if stored.text_encoders is not None:
        for name in TEXT_ENCODERS:
            if (stored.text_encoders / name).is_dir():
                shutil.copytree(stored.text_encoders / name, folder / name)
    model_card(stored.config).save(folder / CARD)


def _in_float32(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().to(torch.float32) for name, tensor in tensors.items()}


def backbone_weights(backbone: Backbone) -> dict[str, Tensor]:
    """The transformer's weights that a standalone backbone owns, under the names diffusers gives them."""
    prefix = "owned.0."
    tensors = backbone.state_dict()
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
