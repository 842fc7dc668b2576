"""A reward that shares a generator's weights scores while they are what they were, and says so when they are not."""

import warnings

import pytest
import torch
from diffusers.training_utils import EMAModel
from peft import LoraConfig

from dina_lrm.generators.generator import Generator
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.synthetic.world import bundled_pipeline

CHANGED = (
    r"shares the weights of a generator \(pipeline=\), and .* has changed since it was loaded.*accepted: train a LoRA"
)
PROMPT = "a small red ring on white"


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
