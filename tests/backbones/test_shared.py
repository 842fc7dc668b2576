"""A backbone that reads somebody else's generator leaves no trace outside `features`."""

from contextlib import suppress

import pytest
import torch
from peft import LoraConfig
from peft.tuners.tuners_utils import BaseTunerLayer

from tests.backbones.families import (
    FROZEN_LORA,
    GENERATOR_LORA,
    PROMPTS,
    SETTINGS,
    assert_close,
    assert_equal,
    differ,
    levels_of,
    randomize_lora,
    tensors_of,
)

# PEFT says so when a model gets its second adapter; here it is the generator's owner who adds one.
pytestmark = pytest.mark.filterwarnings("ignore:Already found a `peft_config` attribute:UserWarning")


def generated(pipeline, case, conditioning):
    with torch.no_grad():
        return case.predicted(pipeline, case.latents(seed=5), levels_of(), conditioning)


def state(model, of=None):
    """What a visitor might disturb, of the modules and parameters that `of` has (default: all)."""
    modules = list(model.modules())
    parameters = list(model.parameters())
    if of is not None:
        modules = [module for module in modules if id(module) in of["training"]]
        parameters = [parameter for parameter in parameters if id(parameter) in of["requires_grad"]]
    layers = [module for module in modules if isinstance(module, BaseTunerLayer)]
    return {
        "training": {id(module): module.training for module in modules},
        "requires_grad": {id(parameter): parameter.requires_grad for parameter in parameters},
        "adapters": {id(m): (m._active_adapter, m._disable_adapters, tuple(m.merged_adapters)) for m in layers},
        "checkpointing": {
            id(module): (vars(module).get("gradient_checkpointing"), vars(module).get("_gradient_checkpointing_func"))
            for module in modules
        },
    }


def adapted(case, pipeline, kind):
    """The generator as its owner left it: plain, with a LoRA in use, switched off, or being trained."""
    torch.manual_seed(0)
    model = case.model(pipeline)
    if kind == "plain":
        return
    model.add_adapter(GENERATOR_LORA, "style")
    if kind == "off":
        pipeline.disable_lora()
    if kind == "training":
        model.train().requires_grad_(True)
        model.enable_gradient_checkpointing()


KINDS = ("plain", "in use", "off", "training")


@pytest.mark.parametrize("kind", KINDS)
def test_the_generator_is_bit_identical_before_and_after(case, pipeline, conditioning, kind):
    adapted(case, pipeline, kind)
    before, outputs = state(case.model(pipeline)), generated(pipeline, case, conditioning)
    backbone = case.shared(pipeline)
    backbone.add_lora(SETTINGS)
    randomize_lora(backbone)
    assert state(case.model(pipeline), before) == before
    attached = state(case.model(pipeline))
    assert torch.equal(generated(pipeline, case, conditioning), outputs)
    latents = case.latents().requires_grad_()
    sum(t.sum() for t in tensors_of(backbone.features(latents, levels_of(), conditioning))).backward()
    assert state(case.model(pipeline)) == attached
    assert torch.equal(generated(pipeline, case, conditioning), outputs)
    own = {id(parameter) for parameter in backbone.parameters()}
    assert all(parameter.grad is None for parameter in case.model(pipeline).parameters() if id(parameter) not in own)
    assert latents.grad.abs().max() > 0 and any(parameter.grad is not None for parameter in backbone.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_an_exception_inside_restores_everything(case, pipeline, conditioning, kind):
    adapted(case, pipeline, kind)
    backbone = case.shared(pipeline)
    backbone.add_lora(SETTINGS)
    randomize_lora(backbone)
    before, outputs = state(case.model(pipeline)), generated(pipeline, case, conditioning)
    with suppress(KeyError), backbone.reward_adapter():
        assert state(case.model(pipeline)) != before
        raise KeyError
    assert state(case.model(pipeline)) == before
    block = case.model(pipeline).get_submodule(backbone.blocks)[1]
    handle = block.register_forward_hook(lambda *_: (_ for _ in ()).throw(RuntimeError("inside")))
    with pytest.raises(RuntimeError, match="inside"):
        backbone.features(case.latents(), levels_of(), conditioning)
    handle.remove()
    assert state(case.model(pipeline)) == before
    assert torch.equal(generated(pipeline, case, conditioning), outputs)


@pytest.mark.parametrize("with_lora", [False, True])
@pytest.mark.parametrize("kind", KINDS[1:])
def test_features_do_not_see_the_generators_adapters(case, pipeline, conditioning, kind, with_lora):
    adapted(case, pipeline, kind)
    alone = case.shared(case.pipeline())
    visitor = case.shared(pipeline)
    for backbone in (alone, visitor):
        if with_lora:
            backbone.add_lora(SETTINGS)
            randomize_lora(backbone)
    wanted = alone.features(case.latents(), levels_of(), conditioning)
    assert_equal(visitor.features(case.latents(), levels_of(), conditioning), wanted)


def test_an_adapter_added_after_the_backbone_is_not_seen_either(case, pipeline, shared, conditioning):
    shared.add_lora(SETTINGS)
    randomize_lora(shared)
    wanted = shared.features(case.latents(), levels_of(), conditioning)
    plain = generated(pipeline, case, conditioning)
    adapted(case, pipeline, "in use")
    styled = generated(pipeline, case, conditioning)
    assert not torch.equal(styled, plain)
    assert_close(shared.features(case.latents(), levels_of(), conditioning), wanted, FROZEN_LORA)
    assert torch.equal(generated(pipeline, case, conditioning), styled)
    assert case.model(pipeline).active_adapters() == ["style"]


def test_two_reward_models_share_one_generator(case, pipeline, conditioning):
    first, second = case.shared(pipeline), case.shared(pipeline)
    for seed, backbone in enumerate((first, second)):
        backbone.add_lora(SETTINGS)
        randomize_lora(backbone, seed)
    wanted = first.features(case.latents(), levels_of(), conditioning)
    other = second.features(case.latents(), levels_of(), conditioning)
    assert differ(wanted, other)
    assert_equal(first.features(case.latents(), levels_of(), conditioning), wanted)
    with first.reward_adapter():
        assert_close(second.features(case.latents(), levels_of(), conditioning), other, FROZEN_LORA)
        assert_equal(first.features(case.latents(), levels_of(), conditioning), wanted)


def trained_generator_gradients(case, backbone, pipeline, conditioning):
    """One step of reward feedback: through the features of a clean prediction into the generator's own LoRA."""
    velocity = case.predicted(pipeline, case.latents(), levels_of(), conditioning)
    clean = backbone.process.clean_from_velocity(case.latents(), velocity, levels_of())
    features = backbone.features(clean, levels_of(0.4, 0.4, 0.4), conditioning)
    sum(t.square().mean() for t in tensors_of(features)).backward()
    parameters = [(name, p) for name, p in case.model(pipeline).named_parameters() if p.requires_grad]
    return {name: p.grad for name, p in parameters if ".style." in name}


@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_generators_lora_learns_through_the_reward_alone(case, folder, conditioning, checkpointing):
    """The weights that the generator and the reward share must be the generator's in its own recomputation only."""
    results = []
    for shares in (True, False):
        pipeline = case.pipeline()
        torch.manual_seed(0)
        case.model(pipeline).add_adapter(GENERATOR_LORA, "style")
        backbone = case.shared(pipeline) if shares else case.standalone(folder)
        backbone.add_lora(SETTINGS)
        randomize_lora(backbone)
        if checkpointing:
            case.model(pipeline).enable_gradient_checkpointing()
            backbone.enable_gradient_checkpointing()
        results.append(trained_generator_gradients(case, backbone, pipeline, conditioning))
    ours, reference = results
    assert ours.keys() == reference.keys() and len(ours) > 4
    for name, gradient in reference.items():
        torch.testing.assert_close(ours[name], gradient, atol=1e-6, rtol=1e-4)


def test_moving_or_training_the_backbone_leaves_the_generator_alone(case, pipeline, shared):
    shared.add_lora(SETTINGS)
    before = state(case.model(pipeline))
    shared.train()
    shared.requires_grad_(False)
    shared.to(torch.float64)
    after = state(case.model(pipeline))
    own = {id(module) for module in shared.modules()}
    assert {key: v for key, v in after["training"].items() if key not in own} == {
        key: v for key, v in before["training"].items() if key not in own
    }
    assert len(list(shared.parameters())) == len(shared.lora_state_dict())
    assert case.model(pipeline).dtype == torch.float32 and shared.trainable_parameters() == []
    assert all(tensor.dtype == torch.float64 for tensor in shared.lora_state_dict().values())


def test_what_would_change_the_generator_is_refused(shared):
    shared.add_lora(SETTINGS)
    for forbidden in (shared.merge_lora, shared.unfreeze, shared.compile_blocks):
        with pytest.raises(ValueError, match="would change the generator"):
            forbidden()
    with pytest.raises(ValueError, match="would change the generator"):
        shared.set_attention_backend("native")


def test_fused_adapters_are_refused(case, pipeline, shared, conditioning):
    adapted(case, pipeline, "in use")
    pipeline.fuse_lora(components=[case.component])
    with pytest.raises(ValueError, match=r"\['style'\] are fused .*\s.*unfuse_lora"):
        shared.features(case.latents(), levels_of(), conditioning)
    pipeline.unfuse_lora(components=[case.component])
    shared.features(case.latents(), levels_of(), conditioning)


def test_a_removed_reward_lora_is_an_error_not_a_silent_base_model(case, pipeline, shared, conditioning):
    shared.add_lora(SETTINGS)
    pipeline.unload_lora_weights()
    with pytest.raises(ValueError, match=f"no longer in ({'|'.join(shared.used_blocks)})[.]"):
        shared.features(case.latents(), levels_of(), conditioning)


def test_fused_projections_are_refused(case, shared, conditioning):
    shared.add_lora(SETTINGS)
    # What the transformer's fuse_qkv_projections does to each of its attention modules.
    attention = case.queries(shared)[0].rpartition(".")[0]
    shared.transformer.get_submodule(attention).fused_projections = True
    with pytest.raises(ValueError, match="fused projections pass over the reward LoRA"):
        shared.features(case.latents(), levels_of(), conditioning)


def test_text_encoder_adapters_do_not_change_prompts(case, pipeline, shared):
    wanted = shared.encode_prompts(PROMPTS)
    plain = case.encoded(pipeline, PROMPTS)
    pipeline.text_encoder.add_adapter(LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False), "style")
    styled = case.encoded(pipeline, PROMPTS)
    assert any(not torch.equal(a, b) for a, b in zip(parts(plain), parts(styled), strict=True))
    encoded = shared.encode_prompts(PROMPTS)
    assert torch.equal(encoded.prompt_embeds, wanted.prompt_embeds)
    if wanted.pooled_prompt_embeds is not None:
        assert torch.equal(encoded.pooled_prompt_embeds, wanted.pooled_prompt_embeds)


def parts(encoded):
    rows, pooled = encoded
    return [*rows, *([] if pooled is None else [pooled])]
