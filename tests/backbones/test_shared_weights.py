"""A reward that shares a generator's weights scores while they are what they were, and says so when they are not."""

import warnings

import pytest
import torch
from diffusers.training_utils import EMAModel
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn

from dina_lrm.generators.generator import Generator
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.synthetic.world import bundled_pipeline

CHANGED = (
    r"shares the weights of a generator \(pipeline=\), and .* has changed since it was loaded.*accepted: train a LoRA"
)
TRAINED = r"shares the weights of a generator \(pipeline=\), and .* is being trained.*accepted: train a LoRA"
PROMPT = "a small red ring on white"
POLICY = LoraConfig(r=2, target_modules=["to_q", "to_add_out"], init_lora_weights=False)


@pytest.fixture
def pair():
    pipeline = bundled_pipeline()
    return pipeline, LatentRewardModel.from_pretrained("synthetic", pipeline=pipeline)


def score(model):
    return model.score_noisy(torch.full((1, 16, 8, 8), 0.1), 0.4, model.encode_prompts(PROMPT))


def one_step(parameters, rate=1e-5):
    """Of full fine-tuning, by an optimizer."""
    parameters = list(parameters)
    for parameter in parameters:
        parameter.requires_grad_(True)
        parameter.grad = torch.ones_like(parameter)
    torch.optim.AdamW(parameters, lr=rate).step()


def test_a_lora_may_learn(pair):
    pipeline, model = pair
    before = score(model)
    generator = Generator(pipeline, 32, 2, 4.0)
    one_step(generator.parameters.values(), 0.1)
    assert generator.tuned and torch.equal(score(model), before)


def test_a_step_of_full_fine_tuning_is_noticed(pair):
    pipeline, model = pair
    one_step(pipeline.transformer.parameters())
    with pytest.raises(ValueError, match=CHANGED):
        score(model)
    with pytest.raises(ValueError, match=CHANGED):
        model.encode_prompts(PROMPT)


@pytest.mark.parametrize("part", ["text_encoder", "text_encoder_2"])
def test_that_of_a_text_encoder_too(pair, part):
    pipeline, model = pair
    one_step(pipeline.components[part].parameters())
    with pytest.raises(ValueError, match=CHANGED):
        score(model)


def test_what_torch_does_not_count_is_noticed_by_the_values(pair):
    """An average that is copied into the weights goes past the count of versions."""
    pipeline, model = pair
    average = EMAModel(pipeline.transformer.parameters())
    for shadow in average.shadow_params:
        shadow.mul_(1.001)
    average.copy_to(pipeline.transformer.parameters())
    with pytest.raises(ValueError, match=CHANGED):
        score(model)


def test_the_same_weights_loaded_again_are_the_same(pair):
    pipeline, model = pair
    before = score(model)
    stored = {name: tensor.clone() for name, tensor in pipeline.transformer.state_dict().items()}
    pipeline.transformer.load_state_dict(stored)
    assert torch.equal(score(model), before)


def test_blocks_that_the_reward_does_not_read_may_learn(pair):
    pipeline, model = pair
    before, depth = score(model), model.config.backbone.depth
    blocks = pipeline.transformer.transformer_blocks
    behind = [*blocks[depth:].parameters(), *pipeline.transformer.proj_out.parameters()]
    one_step(behind)
    assert torch.equal(score(model), before)


def test_a_lora_fused_and_taken_back_is_rounding_and_fused_for_good_is_not(pair):
    pipeline, model = pair
    before = score(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        pipeline.transformer.add_adapter(LoraConfig(r=2, target_modules=["to_q"], init_lora_weights=False), "style")
        pipeline.fuse_lora(adapter_names=["style"])
        with pytest.raises(ValueError, match=r"adapters \['style'\] are fused into the generator's weights"):
            score(model)
        pipeline.unfuse_lora()
        torch.testing.assert_close(score(model), before)
    with torch.no_grad():
        for module in pipeline.transformer.modules():
            if "style" in getattr(module, "scaling", {}):
                module.get_base_layer().weight += module.get_delta_weight("style")
    with pytest.raises(ValueError, match=CHANGED):
        score(model)


def test_weights_that_are_trained_are_refused_before_they_change(pair):
    pipeline, model = pair
    before = score(model)
    pipeline.transformer.requires_grad_(True)
    torch.testing.assert_close(score(model), before)  # as every pipeline is that was only loaded
    pipeline.transformer.train()
    with pytest.raises(ValueError, match=TRAINED):
        score(model)
    with pytest.raises(ValueError, match=TRAINED):
        LatentRewardModel.from_pretrained("synthetic", pipeline=pipeline)
    pipeline.transformer.requires_grad_(False)
    assert torch.equal(score(model), before)


@pytest.mark.parametrize("wrapped", [lambda model: model, nn.DataParallel])
def test_a_policy_in_the_wrappers_of_trainers_is_read_without_its_lora(wrapped, tmp_path):
    pipeline = bundled_pipeline()
    policy = get_peft_model(pipeline.transformer, POLICY).train()
    pipeline.transformer = wrapped(policy)
    model = LatentRewardModel.from_pretrained("synthetic", pipeline=pipeline)
    assert torch.equal(score(model), score(pair_of_its_own()))
    assert model.backbone.shared and model.backbone.transformer is policy.get_base_model()
    one_step((p for p in policy.parameters() if p.requires_grad), 0.1)
    assert torch.equal(score(model), score(pair_of_its_own()))
    policy.save_pretrained(tmp_path)
    assert not [entry for entry in tmp_path.iterdir() if entry.is_dir()]  # the reward's LoRA is not the policy's
    read = PeftModel.from_pretrained(bundled_pipeline().transformer, tmp_path)
    assert sorted(read.peft_config) == ["default"]


def test_two_rewards_share_a_policy_whose_lora_has_the_name_of_a_rewards():
    pipeline = bundled_pipeline()
    pipeline.transformer = get_peft_model(pipeline.transformer, POLICY, adapter_name="reward")
    first, second = (LatentRewardModel.from_pretrained("synthetic", pipeline=pipeline) for _ in range(2))
    assert torch.equal(score(first), score(pair_of_its_own())) and torch.equal(score(second), score(first))


def test_a_pipeline_of_another_model_is_refused():
    pipeline = bundled_pipeline()
    pipeline.transformer = nn.Identity()
    with pytest.raises(ValueError, match="its model is a Identity; accepted: a SD3Transformer2DModel, plain"):
        LatentRewardModel.from_pretrained("synthetic", pipeline=pipeline)


def pair_of_its_own():
    return LatentRewardModel.from_pretrained("synthetic", pipeline=bundled_pipeline())
