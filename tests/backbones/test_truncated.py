"""Loading the first blocks only."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from dina_lrm.backbones.truncated import Kept
from dina_lrm.backbones.weight_files import tensor_files
from dina_lrm.runs import tensor_files as reading
from tests.backbones.families import FAMILY_CASES, levels_of
from tests.tiny import saved_tiny_pipeline

WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def copied(folder, tmp_path):
    """A folder to damage."""
    return shutil.copytree(folder, tmp_path / "copy")


def test_only_the_needed_tensors_are_read(case, folder, monkeypatch):
    read = []

    class Watched:
        def __init__(self, path, framework):
            self.opened = safe_open(path, framework=framework)

        def __enter__(self):
            self.tensors = self.opened.__enter__()
            return self

        def __exit__(self, *error):
            self.opened.__exit__(*error)

        def keys(self):
            return self.tensors.keys()

        def get_tensor(self, name):
            read.append(name)
            return self.tensors.get_tensor(name)

    monkeypatch.setattr(reading, "safe_open", Watched)
    backbone = case.standalone(folder, depth=1, visual_taps=(1,), text_taps=())
    assert sorted(read) == sorted(backbone.transformer.state_dict())
    unused = [name for name in backbone.block_names(case.model(case.pipeline())) if name not in backbone.used_blocks]
    behind = backbone.behind[0]
    assert unused and not any(name.startswith((behind, *(f"{block}." for block in unused))) for name in read)
    blocks = [backbone.transformer.get_submodule(name) for name in backbone.block_names(backbone.transformer)]
    assert sum(any(True for _ in block.parameters()) for block in blocks) == 1
    assert all(not tensor.is_meta for tensor in backbone.state_dict().values())


def test_the_last_block_kept_gives_its_text_states(tiny_folder):
    backbone = FAMILY_CASES[0].standalone(tiny_folder, depth=1, visual_taps=(1,), text_taps=(1,))
    assert not backbone.transformer.transformer_blocks[0].context_pre_only


def test_encoders_are_not_needed_until_they_are_used(case, copied, conditioning):
    for name in ("text_encoder", "text_encoder_2", "text_encoder_3"):
        if case.encoder_configs:
            (copied / name / "model.safetensors").unlink(missing_ok=True)
        else:
            shutil.rmtree(copied / name, ignore_errors=True)
    (copied / "vae" / WEIGHTS).unlink()
    case.standalone(copied).features(case.latents(), levels_of(), conditioning)


@pytest.mark.parametrize("layout", ["shards", "variant", "variant shards"])
def test_every_layout_of_files_gives_the_same(tmp_path, tiny_folder, layout):
    case = FAMILY_CASES[0]
    plain = case.standalone(tiny_folder)
    other = saved_tiny_pipeline(tmp_path / "g", shard_bytes=60_000 if "shards" in layout else None)
    if "variant" in layout:
        transformer = other / "transformer"
        for file in transformer.glob("*.safetensors"):
            middle = file.name.replace("diffusion_pytorch_model", "diffusion_pytorch_model.fp16")
            file.rename(file.with_name(middle))
        for index in transformer.glob("*.index.json"):
            stored = json.loads(index.read_text())
            stored["weight_map"] = {
                name: shard.replace("diffusion_pytorch_model", "diffusion_pytorch_model.fp16")
                for name, shard in stored["weight_map"].items()
            }
            index.rename(index.with_name("diffusion_pytorch_model.safetensors.index.fp16.json"))
            index.with_name("diffusion_pytorch_model.safetensors.index.fp16.json").write_text(json.dumps(stored))
    if layout != "variant":
        assert len(set(tensor_files(other / "transformer").values())) > 1
    weights = case.standalone(other).state_dict()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in plain.state_dict().items())


def test_missing_and_unexpected_tensors_are_named(case, copied):
    path = copied / case.component / WEIGHTS
    tensors = load_file(path)
    whole = case.standalone(copied)
    names, name = whole.block_names(case.model(case.pipeline())), f"{case.queries(whole)[0]}.weight"
    save_file({key: tensor for key, tensor in tensors.items() if key != name}, path)
    with pytest.raises(ValueError, match=rf"missing tensors \['{name}'\]"):
        case.standalone(copied)
    save_file({**tensors, f"{names[0]}.extra": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match=rf"unexpected tensors \['{names[0]}.extra'\]"):
        case.standalone(copied)
    beyond = [*names, whole.behind[0]][case.config.depth]
    save_file({**tensors, f"{beyond}.extra": torch.zeros(1)}, path)
    case.standalone(copied)


def test_no_weights_at_all(case, copied):
    (copied / case.component / WEIGHTS).unlink()
    with pytest.raises(FileNotFoundError, match="no weights; expected diffusion_pytorch_model"):
        case.standalone(copied)


def test_impossible_depths_and_taps_are_refused(case, folder, pipeline):
    with pytest.raises(ValueError, match=r"depth: got 9, but .* has \d (down )?blocks"):
        case.standalone(folder, depth=9)
    with pytest.raises(ValueError, match=r"depth: got 9, but .* has \d"):
        replace(case, config=replace(case.config, depth=9)).shared(pipeline)


def test_a_last_block_without_text_states_is_no_text_tap(tiny_folder):
    with pytest.raises(ValueError, match="last block returns no text states"):
        FAMILY_CASES[0].standalone(tiny_folder, depth=4, text_taps=(4,))


def test_which_tensors_are_kept():
    kept = Kept("blocks", 2, dropped=("out", "list.1"), more_blocks={"more": 1})
    names = "blocks.0.a blocks.1.a blocks.2.a blocks.10.a out.weight embed.weight list.1.a more.0.a more.1.a".split()
    assert [name for name in names if kept.covers(name)] == ["blocks.0.a", "blocks.1.a", "embed.weight", "more.0.a"]
