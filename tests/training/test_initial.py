"""A run may begin from a reward model that is there."""

from dataclasses import replace

import pytest
import torch

from dina_lrm.backbones.settings import LoraSettings
from dina_lrm.training.assemble import build_model, trained_parameters
from dina_lrm.training.config import AdaptationSettings
from tests.training.tiny_runs import tiny_config

CPU = torch.device("cpu")


@pytest.mark.parametrize("kind", ["lora", "frozen", "full"])
def test_a_run_begins_with_the_weights_of_the_model_it_names(tiny_folder, tmp_path, kind):
    config = tiny_config(tiny_folder, adaptation=AdaptationSettings(kind, LoraSettings(rank=2, alpha=4.0)))
    model = build_model(config, CPU)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in trained_parameters(model).values():
            parameter += 0.1 * torch.randn_like(parameter)
    model.save_pretrained(tmp_path / "model")
    again = build_model(replace(config, seed=5, initial=str(tmp_path / "model")), CPU)
    ours, theirs = trained_parameters(again), trained_parameters(model)
    assert set(ours) == set(theirs)
    assert all(parameter.requires_grad and torch.equal(parameter, theirs[name]) for name, parameter in ours.items())


def test_another_architecture_is_refused_and_named(tiny_folder, tmp_path):
    config = tiny_config(tiny_folder)
    build_model(config, CPU).save_pretrained(tmp_path / "model")
    named = replace(config, initial=str(tmp_path / "model"))
    shallow = replace(named.model.backbone, depth=1, visual_taps=(1,), text_taps=(1,))
    for part, changed in (
        ("head", replace(named, model=replace(named.model, head=replace(named.model.head, queries=3)))),
        ("LoRA", replace(named, adaptation=AdaptationSettings(lora=LoraSettings(rank=3)))),
        ("backbone", replace(named, model=replace(named.model, backbone=shallow))),
    ):
        with pytest.raises(ValueError, match=f"its {part} is"):
            build_model(changed, CPU)
    with pytest.raises(ValueError, match="There is no reward model"):
        build_model(replace(config, initial=str(tmp_path / "nowhere")), CPU)
