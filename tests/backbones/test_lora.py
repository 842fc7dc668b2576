"""The reward LoRA: where it is, its files, merging."""

import json
from dataclasses import replace

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file

from dina_lrm.backbones.adapter_files import read_lora_folder
from dina_lrm.backbones.settings import LoraSettings
from dina_lrm.typed import from_plain
from tests.backbones.families import (
    FAMILY_CASES,
    FROZEN_LORA,
    SETTINGS,
    assert_close,
    assert_equal,
    differ,
    levels_of,
    randomize_lora,
)

of_any_family = pytest.mark.parametrize("case", FAMILY_CASES[:1], indirect=True, ids=lambda case: case.name)
"""A folder is read, and refused, before anything is known of the family that it is for."""


def test_lora_is_exactly_where_asked(case, backbone):
    backbone.add_lora(SETTINGS)
    names = {name.rsplit(".lora_", 1)[0] for name in backbone.lora_state_dict()}
    assert len(names) == case.adapted
    prefixes = tuple(f"base_model.model.{block}." for block in backbone.used_blocks)
    assert all(name.startswith(prefixes) for name in names)
    trainable = {id(parameter) for parameter in backbone.parameters() if parameter.requires_grad}
    assert trainable == {id(parameter) for parameter in backbone.trainable_parameters()}
    assert len(trainable) == 2 * case.adapted
    assert backbone.lora_settings.targets == backbone.lora_targets


def test_chosen_targets(case, backbone):
    backbone.add_lora(replace(SETTINGS, targets=(case.query, "to_out.0")))
    names = {name.split(".lora_")[0] for name in backbone.lora_state_dict()}
    assert all(name.endswith((f".{case.query}", ".to_out.0")) for name in names)
    assert any(name.endswith(f".{case.query}") for name in names)


def test_a_target_that_names_nothing_is_refused(backbone):
    with pytest.raises(ValueError, match="LoRA target 'to_w' names no module in the first"):
        backbone.add_lora(replace(SETTINGS, targets=("to_q", "to_w")))
    backbone.add_lora(SETTINGS)
    with pytest.raises(ValueError, match="has a reward LoRA already"):
        backbone.add_lora(SETTINGS)


@pytest.mark.parametrize("init", ["gaussian", True])
def test_a_fresh_lora_changes_nothing_and_is_a_function_of_its_seed(case, backbone, conditioning, init):
    plain = backbone.features(case.latents(), levels_of(), conditioning)
    before = torch.get_rng_state()
    backbone.add_lora(replace(SETTINGS, init=init), seed=7)
    assert torch.equal(torch.get_rng_state(), before), "attaching must not draw from the global generator"
    assert_equal(backbone.features(case.latents(), levels_of(), conditioning), plain)
    again, other = case.shared(case.pipeline()), case.shared(case.pipeline())
    again.add_lora(replace(SETTINGS, init=init), seed=7)
    other.add_lora(replace(SETTINGS, init=init), seed=8)
    own = backbone.lora_state_dict()
    assert all(torch.equal(own[name], tensor) for name, tensor in again.lora_state_dict().items())
    assert any(not torch.equal(own[name], tensor) for name, tensor in other.lora_state_dict().items())
    assert all(tensor.dtype == torch.float32 for tensor in own.values())


def test_a_folder_round_trip_is_exact(case, folder, backbone, conditioning, tmp_path):
    backbone.add_lora(LoraSettings(rank=3, alpha=5.0, dropout=0.25))
    randomize_lora(backbone)
    backbone.save_lora(tmp_path)
    other = case.standalone(folder)
    other.load_lora(tmp_path)
    expected = replace(backbone.lora_settings, targets=tuple(sorted(backbone.lora_targets)))
    assert other.lora_settings == expected
    assert all(torch.equal(other.lora_state_dict()[name], t) for name, t in backbone.lora_state_dict().items())
    features = backbone.features(case.latents(), levels_of(), conditioning)
    assert_equal(other.features(case.latents(), levels_of(), conditioning), features)


def test_peft_itself_reads_the_folder(case, folder, standalone, conditioning, tmp_path):
    standalone.add_lora(SETTINGS)
    randomize_lora(standalone)
    standalone.save_lora(tmp_path)
    wanted = standalone.features(case.latents(), levels_of(), conditioning)
    other = case.standalone(folder)
    PeftModel.from_pretrained(other.transformer, str(tmp_path))
    assert_close(other.features(case.latents(), levels_of(), conditioning), wanted, FROZEN_LORA)


def test_strict_loading_names_the_tensor(backbone):
    backbone.add_lora(SETTINGS)
    tensors = backbone.lora_state_dict()
    name = sorted(tensors)[0]
    missing = {key: tensor for key, tensor in tensors.items() if key != name}
    with pytest.raises(ValueError, match=f"missing {name}; unexpected none"):
        backbone.load_lora_state_dict(missing)
    with pytest.raises(ValueError, match="missing none; unexpected stray"):
        backbone.load_lora_state_dict({**tensors, "stray": tensors[name]})
    with pytest.raises(ValueError, match=rf"{name}: got shape \(1,\), expected"):
        backbone.load_lora_state_dict({**tensors, name: torch.zeros(1)})


def stored_lora(standalone, folder):
    standalone.add_lora(SETTINGS)
    standalone.save_lora(folder)
    return json.loads((folder / "adapter_config.json").read_text())


@of_any_family
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"peft_type": "LOHA"}, "got peft_type 'LOHA'"),
        ({"use_dora": True}, "got use_dora=True, only False"),
        ({"rank_pattern": {"to_q": 8}}, "got rank_pattern="),
        ({"target_modules": "all-linear"}, "expected a list"),
        ({"r": 10**9}, rf"got r={10**9}, but .* has shape"),
        ({"r": "4"}, r"rank: expected int, got '4'"),
        ({"lora_alpha": 10**400}, "alpha: got 1000.*, expected a finite number"),
        ({"lora_dropout": []}, r"dropout: expected float, got \[\]"),
    ],
)
def test_foreign_folders_are_refused_by_the_file(change, message, standalone, tmp_path):
    stored = stored_lora(standalone, tmp_path)
    (tmp_path / "adapter_config.json").write_text(json.dumps({**stored, **change}))
    with pytest.raises(ValueError, match=rf"adapter_config\.json\b.*{message}"):
        read_lora_folder(tmp_path)


@of_any_family
@pytest.mark.parametrize("content", [b"", b"[]", "{}".encode("utf-16"), b"version https://git-lfs.github.com/spec/v1"])
@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_files_that_are_none_are_refused_by_their_name(name, content, standalone, tmp_path):
    stored_lora(standalone, tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name}: "):
        read_lora_folder(tmp_path)


@pytest.mark.parametrize(
    ("targets", "file", "message"),
    [
        (["to_nothing"], "adapter_config.json", "LoRA target 'to_nothing' names no module"),
        ([""], "adapter_config.json", "LoRA target '' names no module"),
        (["to_q"], "adapter_model.safetensors", "LoRA tensors do not match"),
    ],
)
def test_targets_that_are_not_of_the_model_name_the_file(targets, file, message, case, folder, standalone, tmp_path):
    stored = stored_lora(standalone, tmp_path)
    (tmp_path / "adapter_config.json").write_text(json.dumps({**stored, "target_modules": targets}))
    with pytest.raises(ValueError, match=rf"{file}: {message}"):
        case.standalone(folder).load_lora(tmp_path)


def test_a_released_folder_may_hold_bfloat16(case, folder, standalone, conditioning, tmp_path):
    standalone.add_lora(SETTINGS)
    randomize_lora(standalone)
    standalone.save_lora(tmp_path)
    weights = tmp_path / "adapter_model.safetensors"
    save_file({name: tensor.bfloat16() for name, tensor in load_file(weights).items()}, weights)
    other = case.standalone(folder)
    other.load_lora(tmp_path)
    assert all(tensor.dtype == torch.float32 for tensor in other.lora_state_dict().values())
    assert torch.equal(
        next(iter(other.lora_state_dict().values())),
        next(iter(standalone.lora_state_dict().values())).bfloat16().float(),
    )


def test_merging_agrees_and_unmerging_is_exact(case, standalone, conditioning):
    standalone.add_lora(SETTINGS)
    plain = standalone.features(case.latents(), levels_of(), conditioning)
    randomize_lora(standalone)
    apart = standalone.features(case.latents(), levels_of(), conditioning)
    weights = {name: tensor.clone() for name, tensor in standalone.state_dict().items()}
    standalone.merge_lora()
    merged = standalone.features(case.latents(), levels_of(), conditioning)
    assert_close(merged, apart)
    assert differ(merged, apart) and differ(merged, plain)
    with pytest.raises(ValueError, match="unmerge_lora"):
        standalone.trainable_parameters()
    with pytest.raises(ValueError, match="merged already"):
        standalone.merge_lora()
    standalone.unmerge_lora()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in standalone.state_dict().items())
    assert_equal(standalone.features(case.latents(), levels_of(), conditioning), apart)


def test_merging_rounds_once(case, folder):
    backbone = case.standalone(folder, dtype=torch.bfloat16)
    backbone.add_lora(SETTINGS)
    randomize_lora(backbone, scale=0.01)
    layer = backbone.transformer.get_submodule(case.queries(backbone)[-1])
    exact = layer.base_layer.weight.float() + layer.get_delta_weight("reward")
    backbone.merge_lora(keep_base=False)
    assert torch.equal(layer.base_layer.weight, exact.bfloat16())
    with pytest.raises(ValueError, match="nothing to unmerge"):
        backbone.unmerge_lora()


def test_freezing_and_full_training(standalone):
    assert standalone.trainable_parameters() == []
    standalone.unfreeze()
    assert len(standalone.trainable_parameters()) == len(list(standalone.transformer.parameters()))
    standalone.freeze()
    assert standalone.trainable_parameters() == []
    standalone.add_lora(SETTINGS)
    standalone.freeze()
    assert len(standalone.trainable_parameters()) == len(standalone.lora_state_dict())


def test_without_a_lora_its_calls_say_so(backbone, tmp_path):
    for call in (backbone.lora_state_dict, backbone.unmerge_lora, lambda: backbone.save_lora(tmp_path)):
        with pytest.raises(ValueError, match="no reward LoRA"):
            call()
    assert backbone.lora_settings is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rank": 0}, "rank: got 0"),
        ({"alpha": float("nan")}, "alpha: got nan, expected a finite number"),
        ({"dropout": 1.0}, r"dropout: got 1.0"),
        ({"targets": ()}, "targets: got none"),
    ],
)
def test_settings_are_checked(change, message):
    with pytest.raises(ValueError, match=message):
        LoraSettings(**change)


def test_an_unknown_start_is_refused():
    with pytest.raises(ValueError, match=r"init: got 'pissa'; accepted: 'gaussian', True"):
        from_plain(LoraSettings, {"init": "pissa"})
