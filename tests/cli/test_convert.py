import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from dina_lrm.cli.main import main
from dina_lrm.reward_model.model import LatentRewardModel
from tests.models import some_latents, tiny_reward_model


@pytest.fixture
def released(tiny_folder, tmp_path):
    """A folder as released with the paper, of a tiny model with random weights."""
    model = tiny_reward_model(tiny_folder)
    checkpoint = tmp_path / "released" / "checkpoint"
    checkpoint.mkdir(parents=True)
    model.backbone.save_lora(checkpoint / "backbone_lora")
    torch.save(model.head.state_dict(), checkpoint / "rm_head.pt")
    values = {
        "backbone_model_id": "somewhere/on-the-hub",
        "num_transformer_layers": 3,
        "visual_head_idx": [1, 3],
        "text_head_idx": [2, 3],
        "use_lora": True,
        "freeze_backbone": False,
        "lora_config": {"r": 2, "lora_alpha": 4, "init_lora_weights": "gaussian"},
        "use_text_features": True,
        "use_logistic": False,
        "reward_head": {"use_proj_in": False, "width": -1, "out_dim": 1, "num_queries": 4, "num_attn_heads": 4},
    }
    config = checkpoint.parent / "config.json"
    config.write_text(json.dumps({"model": values, "training": {"add_noise": True}}))
    return checkpoint.parent


def test_a_converted_folder_scores_as_the_model_it_came_from(released, tiny_folder, tmp_path):
    target, report = tmp_path / "ours", tmp_path / "report.json"
    words = ["convert", str(released), str(target), "--backbone", str(tiny_folder), "--json", str(report), "--quiet"]
    assert main(words) == 0
    converted = LatentRewardModel.from_pretrained(target)
    direct = LatentRewardModel.from_pretrained(released, backbone=str(tiny_folder))
    latents, conditioning = some_latents(2), direct.encode_prompts(["a red cube", "the blue ball"])
    assert torch.equal(converted.score_latents(latents, conditioning), direct.score_latents(latents, conditioning))
    assert not list(target.rglob("*.pt"))
    written = json.loads(report.read_text())
    assert written["folder"] == str(target) and written["model"]["backbone"]["pretrained"] == str(tiny_folder)


def test_an_existing_target_is_left_alone(released, tmp_path, capsys):
    target = tmp_path / "mine"
    target.mkdir()
    assert main(["convert", str(released), str(target)]) == 2
    assert "exists already" in capsys.readouterr().err


def test_a_missing_tensor_is_bad_input_that_names_it(released, tiny_folder, tmp_path, capsys):
    head = released / "checkpoint" / "rm_head.pt"
    tensors = torch.load(head, weights_only=True)
    del tensors["agg_visual.weight"]
    torch.save(tensors, head)
    assert main(["convert", str(released), str(tmp_path / "ours"), "--backbone", str(tiny_folder)]) == 2
    assert "agg_visual.weight" in capsys.readouterr().err
    assert not (tmp_path / "ours").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: tensors.pop(min(n for n in tensors if "lora_B" in n)), "accepted: both factors"),
        (lambda tensors: tensors.update({min(tensors): torch.zeros(3, 64)}), "got r=2, but"),
    ],
)
def test_a_lora_that_is_not_whole_is_bad_input(released, tmp_path, capsys, change, message):
    file = released / "checkpoint" / "backbone_lora" / "adapter_model.safetensors"
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file)
    assert main(["convert", str(released), str(tmp_path / "ours")]) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "ours").exists()


def test_a_conversion_needs_no_generator(released, tmp_path):
    """The hub is not asked for the one that the folder names."""
    assert main(["convert", str(released), str(tmp_path / "ours"), "--quiet"]) == 0
    config = json.loads((tmp_path / "ours" / "config.json").read_text())
    assert config["backbone"]["pretrained"] == "somewhere/on-the-hub"
