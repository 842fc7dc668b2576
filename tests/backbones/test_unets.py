"""What every family's features must satisfy, on U-Nets: standalone and shared."""

from dataclasses import replace

import pytest
import torch
from diffusers import DDIMScheduler
from peft import LoraConfig
from safetensors.torch import load_file, save_file

from dina_lrm.backbones.base import Conditioning
from dina_lrm.backbones.registry import family_of_pipeline
from tests.backbones.families import (
    PROMPTS,
    SETTINGS,
    assert_close,
    assert_equal,
    differ,
    levels_of,
    randomize_lora,
    tensors_of,
)
from tests.backbones.unets import UNET_CASES, call_unet, hooked_unet, unet_latents
from tests.tiny_unets import POOLED, UNET_WIDTHS, saved

pytestmark = pytest.mark.filterwarnings("ignore:Already found a `peft_config` attribute:UserWarning")


@pytest.fixture(scope="module", params=UNET_CASES, ids=lambda case: case.name)
def case(request):
    return request.param


@pytest.fixture(scope="module")
def folder(case, tmp_path_factory):
    return saved(case.pipeline(), tmp_path_factory.mktemp(case.name) / "generator")


@pytest.fixture(scope="module")
def conditioning(case):
    return case.shared(case.pipeline()).encode_prompts(PROMPTS)


@pytest.fixture(params=["standalone", "shared"])
def backbone(request, case, folder):
    return case.standalone(folder) if request.param == "standalone" else case.shared(case.pipeline())


@pytest.mark.parametrize(("height", "width"), [(8, 8), (4, 12), (2, 2)])
def test_shapes_and_grids(case, backbone, conditioning, height, width):
    features = backbone.features(unet_latents(height, width), levels_of(), conditioning)
    full, half = (height, width), (height // 2, width // 2)
    # The last resolution has no downsampler: both its end and the mid block are maps of half the size
    grids = tuple((full, full, half, half)[tap] for tap in case.config.visual_taps)
    assert features.grids == grids
    widths = tuple((8, *UNET_WIDTHS, 16)[tap] for tap in case.config.visual_taps)
    assert backbone.visual_widths == widths
    shapes = [(3, h * w, width) for (h, w), width in zip(grids, widths, strict=True)]
    assert [tuple(t.shape) for t in features.visual] == shapes
    assert features.time_embedding.shape == (3, backbone.time_embedding_width)
    assert all(torch.equal(t, conditioning.prompt_embeds) for t in features.text)
    assert torch.equal(features.pooled_text, conditioning.pooled_prompt_embeds)


def test_maps_are_those_of_the_untouched_model(case, backbone, conditioning):
    latents, levels, untouched = unet_latents(), levels_of(), case.pipeline()
    timestep = backbone.process.timestep_from_noise_level(levels)
    arguments = call_unet(untouched, latents, timestep, conditioning)
    assert_equal(backbone.features(latents, levels, conditioning), hooked_unet(untouched, arguments, case.config))


def test_the_noise_level_is_the_timestep_that_the_pipeline_itself_passes(case, conditioning):
    """One DDIM step of the family's own sampler to the clean end is one clean prediction of our process."""
    pipeline, seen = case.pipeline(), {}
    backbone = case.shared(pipeline)
    assert backbone.prediction == case.prediction
    pipeline.scheduler = DDIMScheduler.from_config(
        pipeline.scheduler.config, steps_offset=400, set_alpha_to_one=True, clip_sample=False,
        timestep_spacing="leading",
    )  # fmt: skip
    hook = pipeline.unet.register_forward_pre_hook(lambda m, args, kwargs: seen.update(t=args[1]), with_kwargs=True)
    latents = unet_latents(batch=1)
    sampled = pipeline(
        PROMPTS[0], guidance_scale=1.0, num_inference_steps=1, latents=latents, output_type="latent",
        height=32, width=32,
    ).images  # fmt: skip
    hook.remove()
    assert int(seen["t"]) == 400
    level = backbone.process.noise_level_from_timestep(seen["t"]).reshape(1)
    arguments = call_unet(pipeline, latents, seen["t"], conditioning[0])
    assert_close(backbone.features(latents, level, conditioning[0]), hooked_unet(pipeline, arguments, case.config))
    output = pipeline.unet(**arguments).sample
    ours = (
        backbone.process.clean_from_velocity(latents, output, level)
        if case.prediction == "v_prediction"
        else backbone.process.clean_from_noise(latents, output, level)
    )
    torch.testing.assert_close(ours, sampled, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_one_pass_gives_velocity_and_features(case, conditioning, checkpointing):
    pipeline = case.pipeline()
    backbone = case.shared(pipeline)
    if checkpointing:
        pipeline.unet.enable_gradient_checkpointing()
        pipeline.unet.train()
    latents, levels = unet_latents().requires_grad_(), levels_of()
    timestep = backbone.process.timestep_from_noise_level(levels)
    output = case.pipeline().unet(**call_unet(pipeline, latents, timestep, conditioning)).sample
    convert = backbone.process.velocity_from_noise
    wanted = output if case.prediction == "v_prediction" else convert(latents, output, levels)
    torch.testing.assert_close(backbone.velocity(latents, levels, conditioning), wanted, atol=1e-5, rtol=1e-5)
    velocity, features = backbone.velocity_and_features(latents, levels, conditioning)
    torch.testing.assert_close(velocity, wanted, atol=1e-5, rtol=1e-5)
    assert_equal(features, backbone.features(latents, levels, conditioning))
    (velocity.square().mean() + features.visual[-1].square().mean()).backward()
    assert latents.grad.isfinite().all() and latents.grad.abs().sum() > 0


def test_up_blocks_are_neither_loaded_nor_run(case, folder, backbone, conditioning):
    if backbone.shared:
        for block in backbone.transformer.up_blocks:
            block.register_forward_pre_hook(lambda *_: (_ for _ in ()).throw(AssertionError("an up block ran")))
    else:
        assert not any(name.startswith(("up_blocks", "conv_out")) for name in backbone.transformer.state_dict())
        assert all(not tensor.is_meta for tensor in backbone.state_dict().values())
    backbone.features(unet_latents(), levels_of(), conditioning)
    shallow = case.standalone(folder, depth=1, visual_taps=(0, 1), text_taps=())
    assert not any(name.startswith(("mid_block", "down_blocks.1")) for name in shallow.transformer.state_dict())
    cut = shallow.features(unet_latents(), levels_of(), conditioning)
    deep = backbone.features(unet_latents(), levels_of(), conditioning)
    assert all(torch.equal(a, b) for a, b in zip(cut.visual, deep.visual[:2], strict=True))


def test_shared_and_standalone_agree(case, folder, conditioning):
    pair = case.shared(case.pipeline()), case.standalone(folder)
    for backbone in pair:
        backbone.add_lora(SETTINGS, seed=3)
        randomize_lora(backbone)
    assert_equal(*(backbone.features(unet_latents(), levels_of(), conditioning) for backbone in pair))
    for name in ("visual_widths", "text_widths", "latent_scale", "latent_shift", "pixels_per_latent", "prediction"):
        assert getattr(pair[0], name) == getattr(pair[1], name)


def test_an_item_does_not_depend_on_its_batch(backbone, conditioning):
    latents, levels = unet_latents(), levels_of()
    together = backbone.features(latents, levels, conditioning)
    for row in range(3):
        alone = backbone.features(latents[row : row + 1], levels[row : row + 1], conditioning[row])
        for a, b in zip(tensors_of(alone), tensors_of(together), strict=True):
            torch.testing.assert_close(a[0], b[row], atol=1e-5, rtol=1e-5)


def gradients(backbone, conditioning):
    latents = unet_latents().requires_grad_()
    features = backbone.features(latents, levels_of(), conditioning)
    loss = sum(t.square().mean() * (i + 1) for i, t in enumerate(tensors_of(features)))
    return torch.autograd.grad(loss, [latents, *backbone.trainable_parameters()], allow_unused=True)


def test_gradients_with_and_without_checkpointing(case, backbone, conditioning):
    backbone.add_lora(SETTINGS)
    randomize_lora(backbone)
    plain = gradients(backbone, conditioning)
    assert plain[0].abs().max() > 0 and len(plain) == 1 + 2 * case.adapted
    assert all(g is not None and g.abs().max() > 0 for g in plain)
    backbone.enable_gradient_checkpointing()
    calls = []
    backbone.transformer.down_blocks[0].register_forward_pre_hook(lambda *_: calls.append(1))
    for a, b in zip(plain, gradients(backbone, conditioning), strict=True):
        torch.testing.assert_close(a, b, atol=1e-7, rtol=1e-5)
    assert len(calls) == 2, "the first block must run once forward and once again in the backward pass"


@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_generators_lora_learns_through_the_reward_alone(case, folder, conditioning, checkpointing):
    results = []
    for shares in (True, False):
        pipeline = case.pipeline()
        torch.manual_seed(0)
        pipeline.unet.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_k"], init_lora_weights=False), "style")
        backbone = case.shared(pipeline) if shares else case.standalone(folder)
        backbone.add_lora(SETTINGS)
        randomize_lora(backbone)
        if checkpointing:
            pipeline.unet.enable_gradient_checkpointing()
            pipeline.unet.train()
            backbone.enable_gradient_checkpointing()
        output = pipeline.unet(**call_unet(pipeline, unet_latents(), 900 * levels_of(), conditioning)).sample
        clean = backbone.process.clean_from_velocity(unet_latents(), output, levels_of())
        features = backbone.features(clean, levels_of(0.4, 0.4, 0.4), conditioning)
        if checkpointing:
            assert pipeline.unet.is_gradient_checkpointing and all(m.training for m in pipeline.unet.up_blocks)
        sum(t.square().mean() for t in tensors_of(features)).backward()
        results.append({n: p.grad for n, p in pipeline.unet.named_parameters() if ".style." in n})
    assert len(results[0]) > 8
    for name, gradient in results[1].items():
        torch.testing.assert_close(results[0][name], gradient, atol=1e-6, rtol=1e-4)


def test_the_generator_is_bit_identical_before_and_after(case, conditioning):
    pipeline = case.pipeline()
    call = call_unet(pipeline, unet_latents(), 900 * levels_of(), conditioning)
    with torch.no_grad():
        before = pipeline.unet(**call).sample
        plain = case.shared(pipeline).features(unet_latents(), levels_of(), conditioning)
        backbone = case.shared(pipeline)
        backbone.add_lora(SETTINGS)
        randomize_lora(backbone)
        assert differ(backbone.features(unet_latents(), levels_of(), conditioning), plain)
        assert torch.equal(pipeline.unet(**call).sample, before)
    blocks = pipeline.unet.down_blocks
    handle = pipeline.unet.mid_block.register_forward_pre_hook(lambda *_: (_ for _ in ()).throw(RuntimeError("stop")))
    if case.config.depth > len(blocks):
        with pytest.raises(RuntimeError, match="stop"):
            backbone.features(unet_latents(), levels_of(), conditioning)
    handle.remove()
    assert pipeline.unet.down_blocks is blocks
    assert torch.equal(pipeline.unet(**call).sample, before)


def test_lora_is_exactly_where_asked_and_round_trips(case, folder, backbone, conditioning, tmp_path):
    backbone.add_lora(SETTINGS)
    randomize_lora(backbone)
    names = {name.rsplit(".lora_", 1)[0].removeprefix("base_model.model.") for name in backbone.lora_state_dict()}
    assert len(names) == case.adapted
    assert all(name.startswith(("down_blocks.", "mid_block.")) and ".attn" in name for name in names)
    backbone.save_lora(tmp_path)
    other = case.standalone(folder)
    other.load_lora(tmp_path)
    wanted = backbone.features(unet_latents(), levels_of(), conditioning)
    assert_equal(other.features(unet_latents(), levels_of(), conditioning), wanted)
    other.merge_lora()
    assert_close(other.features(unet_latents(), levels_of(), conditioning), wanted, 1e-4)


@pytest.mark.parametrize("autocast", [False, True])
def test_bfloat16(case, folder, conditioning, autocast):
    exact = case.standalone(folder)
    backbone = case.standalone(folder, dtype=torch.float32 if autocast else torch.bfloat16)
    wanted = exact.features(unet_latents(), levels_of(), conditioning)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        assert_close(backbone.features(unet_latents(), levels_of(), conditioning), wanted, tolerance=0.15)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the compiler's own
def test_compiled_blocks_agree(case, folder, conditioning):
    if case.name != "sd15":
        pytest.skip("minutes; one row will do")
    backbone = case.standalone(folder)
    plain = backbone.features(unet_latents(), levels_of(), conditioning)
    backbone.compile_blocks()
    assert_close(backbone.features(unet_latents(), levels_of(), conditioning), plain)


def test_images_and_prompts_go_through_the_pipelines_own_encoders(case, folder):
    pipeline = case.pipeline()
    assert family_of_pipeline(pipeline) == "stable-diffusion"
    shared, standalone = case.shared(pipeline), case.standalone(folder)
    pixels = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    latents = shared.encode_images(pixels)
    assert torch.equal(latents, pipeline.vae.encode(pixels).latent_dist.mode() * 0.18215)
    torch.testing.assert_close(standalone.encode_images(pixels), latents)
    mode = pipeline.vae.encode(pixels).latent_dist.mode()
    torch.testing.assert_close(shared.decode_latents(latents), pipeline.vae.decode(mode).sample, atol=1e-5, rtol=1e-4)
    encoded, again = shared.encode_prompts(PROMPTS), standalone.encode_prompts(PROMPTS)
    own = pipeline.encode_prompt(list(PROMPTS), device=torch.device("cpu"), num_images_per_prompt=1,
                                 do_classifier_free_guidance=False)  # fmt: skip
    assert torch.equal(encoded.prompt_embeds, own[0])
    if case.name == "sdxl":
        assert torch.equal(encoded.pooled_prompt_embeds, own[2]) and own[2].shape == (3, POOLED)
    else:
        # The state at the end mark: "a red cube" is begin, three words, end
        assert torch.equal(encoded.pooled_prompt_embeds[0], own[0][0, 4])
    torch.testing.assert_close(again.prompt_embeds, encoded.prompt_embeds)
    torch.testing.assert_close(again.pooled_prompt_embeds, encoded.pooled_prompt_embeds)
    assert encoded.prompt_mask[0].tolist() == [True] * 5 + [False] * 3
    cut = shared.encode_prompts(["the large blue ball on the left of the green table"]).truncated[0]
    assert cut.startswith("tokenizer (CLIP): 13 tokens given, 8 kept")
    assert shared.empty_conditioning() is shared.empty_conditioning()
    with pytest.raises(ValueError, match="expected a list of at least one string"):
        shared.encode_prompts("a red cube")


def test_wrong_inputs_are_refused(case, folder, backbone, conditioning):
    latents, levels = unet_latents(), levels_of()

    def refused(latents, levels, conditioning, message):
        with pytest.raises(ValueError, match=message):
            backbone.features(latents, levels, conditioning)

    refused(latents[:, :3], levels, conditioning, "got 3 channels, .* has 4")
    refused(unet_latents(7, 8), levels, conditioning, "size 7 x 8, expected multiples of 2")
    narrow = Conditioning(conditioning.prompt_embeds[:, :, :5], conditioning.pooled_prompt_embeds)
    refused(latents, levels, narrow, "prompt_embeds is 5 wide")
    if case.name == "sdxl":
        refused(latents, levels, Conditioning(conditioning.prompt_embeds), "SDXL needs pooled_prompt_embeds")
        wide = replace(conditioning, pooled_prompt_embeds=torch.zeros(3, 5))
        refused(latents, levels, wide, "pooled_prompt_embeds is 5 wide")
    with pytest.raises(ValueError, match="a U-Net never changes its text states"):
        case.standalone(folder, text_taps=(1,))
    with pytest.raises(ValueError, match=r"depth: got 9, but .* has 2 down blocks and a mid block"):
        case.standalone(folder, depth=9)


def test_missing_and_unexpected_tensors_are_named(case, folder, tmp_path):
    copied = saved(case.pipeline(), tmp_path / "copy")
    path = copied / "unet" / "diffusion_pytorch_model.safetensors"
    tensors, name = load_file(path), "down_blocks.0.resnets.0.conv1.weight"
    save_file({key: tensor for key, tensor in tensors.items() if key != name}, path)
    with pytest.raises(ValueError, match=rf"missing tensors \['{name}'\]"):
        case.standalone(copied)
    save_file({key: tensor for key, tensor in tensors.items() if not key.startswith("up_blocks")}, path)
    case.standalone(copied)
