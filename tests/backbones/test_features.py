"""What every family's features must satisfy, standalone and shared."""

import inspect
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.backbones.image_dropout import draw_by_rows
from tests.backbones.families import (
    FAMILY_CASES,
    PROMPTS,
    SETTINGS,
    assert_close,
    assert_equal,
    levels_of,
    randomize_lora,
    tensors_of,
)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (4, 12), (2, 2)])
def test_shapes_and_widths(case, backbone, conditioning, height, width):
    features = backbone.features(case.latents(height, width), levels_of(), conditioning)
    strides = case.strides or (backbone.latent_multiple,) * len(case.config.visual_taps)
    grids = tuple((height // stride, width // stride) for stride in strides)
    assert features.grids == (grids if case.strides else None)
    shapes = [(3, h * w, width) for (h, w), width in zip(grids, backbone.visual_widths, strict=True)]
    assert [tuple(t.shape) for t in features.visual] == shapes
    text_tokens = conditioning.prompt_embeds.shape[1]
    assert [tuple(t.shape) for t in features.text] == [(3, text_tokens, w) for w in backbone.text_widths]
    assert features.time_embedding.shape == (3, backbone.time_embedding_width)
    assert torch.equal(features.text_mask, conditioning.prompt_mask)
    assert len(features.visual) == len(case.config.visual_taps) and len(features.text) == len(case.config.text_taps)


def test_taps_are_the_states_of_the_untouched_model(case, backbone, conditioning):
    latents, levels = case.latents(), levels_of()
    untouched = case.pipeline()
    timestep = backbone.process.timestep_from_noise_level(levels)
    arguments = case.call(untouched, latents, timestep, conditioning)
    assert_equal(backbone.features(latents, levels, conditioning), case.hooked(untouched, arguments))


@contextmanager
def recorded_call(model):
    """The arguments of a model's call, by name."""
    seen = {}
    signature = inspect.signature(type(model).forward)

    def record(module, args, kwargs):
        seen.update(signature.bind(module, *args, **kwargs).arguments)

    handle = model.register_forward_pre_hook(record, with_kwargs=True)
    yield seen
    handle.remove()


def test_the_call_is_the_pipelines_own(case, pipeline, shared, conditioning):
    """One step of the family's own sampler is one clean prediction of our process."""
    latents = case.latents(batch=1)
    with recorded_call(case.model(pipeline)) as theirs:
        sampled, level = case.sampled_once(pipeline, PROMPTS[0], latents)
    with recorded_call(case.model(pipeline)) as ours:
        shared.features(latents, level, conditioning[0])
    for name in case.same:
        given, wanted = ours[name], theirs[name]
        if case.masked and name == "encoder_hidden_states":  # what a text encoder makes of padding is left out
            mask = conditioning.prompt_mask[:1]
            given, wanted = given[mask], wanted[mask]
        if torch.is_tensor(wanted) and wanted.ndim == 0:
            # One integer for the whole batch
            wanted = wanted.expand(1).to(given.dtype)
        torch.testing.assert_close(given, wanted, msg=lambda text, name=name: f"{name}: {text}")
    velocity = case.predicted(pipeline, latents, level, conditioning[0])
    torch.testing.assert_close(shared.process.clean_from_velocity(latents, velocity, level), sampled)


def test_depth_does_not_change_the_taps_before_it(case, folder, conditioning):
    deep = case.standalone(folder).features(case.latents(), levels_of(), conditioning)
    taps = tuple(tap for tap in case.config.visual_taps if tap <= 1)
    shallow = case.standalone(folder, depth=1, visual_taps=taps, text_taps=())
    cut = shallow.features(case.latents(), levels_of(), conditioning)
    assert cut.text == ()
    assert all(torch.equal(a, b) for a, b in zip(cut.visual, deep.visual, strict=False))


def test_shared_and_standalone_agree(case, shared, standalone, conditioning):
    for backbone in (shared, standalone):
        backbone.add_lora(SETTINGS, seed=3)
        randomize_lora(backbone)
    assert_equal(
        shared.features(case.latents(), levels_of(), conditioning),
        standalone.features(case.latents(), levels_of(), conditioning),
    )
    assert shared.visual_widths == standalone.visual_widths and shared.text_widths == standalone.text_widths
    for name in (
        *("time_embedding_width", "latent_channels", "latent_multiple", "pixels_per_latent", "latent_scale"),
        *("latent_shift", "pooled_width", "dtype", "device"),
    ):
        assert getattr(shared, name) == getattr(standalone, name)


def test_an_item_does_not_depend_on_its_batch(case, backbone, conditioning):
    latents, levels = case.latents(), levels_of()
    together = backbone.features(latents, levels, conditioning)
    for row in range(3):
        alone = backbone.features(latents[row : row + 1], levels[row : row + 1], conditioning[row])
        for a, b in zip(tensors_of(alone), tensors_of(together), strict=True):
            torch.testing.assert_close(a[0], b[row], atol=1e-5, rtol=1e-5)
    order = torch.tensor([2, 0, 1])
    turned = backbone.features(latents[order], levels[order], conditioning[order])
    for a, b in zip(tensors_of(turned), tensors_of(together), strict=True):
        torch.testing.assert_close(a, b[order], atol=1e-5, rtol=1e-5)


def gradients(case, backbone, conditioning):
    return features_and_gradients(case, backbone, conditioning)[1]


def features_and_gradients(case, backbone, conditioning):
    latents = case.latents().requires_grad_()
    features = backbone.features(latents, levels_of(), conditioning)
    loss = sum(t.square().mean() * (i + 1) for i, t in enumerate(tensors_of(features)))
    parameters = backbone.trainable_parameters()
    return features, torch.autograd.grad(loss, [latents, *parameters], allow_unused=True)


def test_gradients_reach_latents_and_lora(case, backbone, conditioning):
    backbone.add_lora(SETTINGS)
    randomize_lora(backbone)
    latents, *lora = gradients(case, backbone, conditioning)
    assert torch.isfinite(latents).all() and latents.abs().max() > 0
    reached = [g for g in lora if g is not None and g.abs().max() > 0]
    # What the last tapped block does for text alone reaches no tap of some configurations.
    assert len(lora) == len(backbone.lora_state_dict()) and len(reached) >= len(lora) * 3 // 4


def test_gradient_checkpointing_changes_neither_values_nor_gradients(case, backbone, conditioning):
    backbone.add_lora(SETTINGS)
    randomize_lora(backbone)
    plain, plain_features = (
        gradients(case, backbone, conditioning),
        backbone.features(case.latents(), levels_of(), conditioning),
    )
    backbone.enable_gradient_checkpointing()
    calls = []
    block = backbone.transformer.get_submodule(backbone.blocks)[0]
    # Before the block: the recomputation ends as soon as it has what the backward pass needs.
    handle = block.register_forward_pre_hook(lambda *_: calls.append(1))
    repeated = gradients(case, backbone, conditioning)
    handle.remove()
    assert len(calls) == 2, "the first block must run once forward and once again in the backward pass"
    for a, b in zip(plain, repeated, strict=True):
        assert (a is None and b is None) or torch.equal(a, b)
    assert_equal(backbone.features(case.latents(), levels_of(), conditioning), plain_features)
    assert not backbone.transformer.is_gradient_checkpointing


def test_lora_dropout_is_the_same_in_the_recomputation(case, backbone, conditioning):
    backbone.add_lora(replace(SETTINGS, dropout=0.5))
    randomize_lora(backbone)
    still = backbone.features(case.latents(), levels_of(), conditioning)
    assert_equal(backbone.features(case.latents(), levels_of(), conditioning), still)
    backbone.train()
    results = []
    for checkpointing in (False, True):
        if checkpointing:
            backbone.enable_gradient_checkpointing()
        torch.manual_seed(0)
        results.append(gradients(case, backbone, conditioning))
    for a, b in zip(*results, strict=True):
        assert (a is None and b is None) or torch.equal(a, b)


def test_what_is_dropped_of_an_image_does_not_depend_on_those_beside_it(case, backbone, conditioning):
    backbone.add_lora(replace(SETTINGS, dropout=0.5))
    randomize_lora(backbone)
    assert draw_by_rows(backbone, backbone.transformer, backbone.rows_read)
    still = backbone.features(case.latents(), levels_of(), conditioning)  # nothing is dropped, nobody names the rows
    backbone.train()
    latents, levels, names = case.latents(), levels_of(), torch.tensor([2**62, 3, 5])

    def read(rows):
        with backbone.rows_read.of(names[rows]):
            return backbone.features(latents[rows], levels[rows], conditioning[rows])

    together = read(torch.arange(3))
    for row in range(3):
        # Rounded by the batch, in SDXL to 4e-5; another mask would be off by tenths
        assert_close(together.rows(slice(row, row + 1)), read(torch.tensor([row])), tolerance=1e-3)
    assert not torch.allclose(together.visual[-1], still.visual[-1])
    with backbone.rows_read.of(names + 1):
        other = backbone.features(latents, levels, conditioning)
    assert not torch.allclose(together.visual[-1], other.visual[-1])


# PyTorch says so of norms with float32 weights under autocast, which are FLUX's own.
@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight:UserWarning")
@pytest.mark.parametrize("autocast", [False, True])
def test_bfloat16(case, folder, conditioning, autocast):
    exact = case.standalone(folder)
    dtype = torch.float32 if autocast else torch.bfloat16
    backbone = case.standalone(folder, dtype=dtype)
    assert backbone.dtype == dtype
    for each in (exact, backbone):
        each.add_lora(SETTINGS)
        randomize_lora(each, scale=0.1)
    wanted = exact.features(case.latents(), levels_of(), conditioning)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        latents, *lora = gradients(case, backbone, conditioning)
        assert_close(backbone.features(case.latents(), levels_of(), conditioning), wanted, case.coarse)
    assert torch.isfinite(latents).all() and all(g.dtype == torch.float32 for g in lora if g is not None)


GENERATED = ("sd35-medium", "sd15")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the compiler's own
@pytest.mark.parametrize("case", [case for case in FAMILY_CASES if case.compiled], indirect=True, ids=lambda c: c.name)
def test_compiled_blocks_agree(case, folder, conditioning):
    # One block, run once: each further one, and one whose input has no gradient, is compiled again, for seconds
    standalone = case.standalone(folder, depth=1, visual_taps=(0, 1), text_taps=())
    standalone.add_lora(SETTINGS)
    randomize_lora(standalone)
    plain = features_and_gradients(case, standalone, conditioning)
    # What a family's blocks ask of the compiler is how they are traced; code is generated for one of each kind
    standalone.compile_blocks(backend="inductor" if case.name in GENERATED else "aot_eager")
    features, learned = features_and_gradients(case, standalone, conditioning)
    assert_close(features, plain[0])
    for a, b in zip(learned, plain[1], strict=True):
        # A compiled block has a gradient of zero for what the eager one never asks for
        a, b = (torch.zeros(()) if gradient is None else gradient for gradient in (a, b))
        assert torch.allclose(a, b, atol=1e-4, rtol=1e-3)


def test_attention_backends_pass_through(case, standalone, conditioning):
    plain = standalone.features(case.latents(), levels_of(), conditioning)
    standalone.set_attention_backend("_native_math")
    assert_close(standalone.features(case.latents(), levels_of(), conditioning), plain)
    with pytest.raises(ValueError, match=r"(?i)backend.*sagacious"):
        standalone.set_attention_backend("sagacious")


def refused(backbone, latents, levels, conditioning, message):
    with pytest.raises(ValueError, match=message):
        backbone.features(latents, levels, conditioning)


def test_wrong_inputs_are_refused(case, backbone, conditioning):
    latents, levels = case.latents(), levels_of()
    fewer = case.channels - 1
    refused(backbone, latents[:, :fewer], levels, conditioning, f"got {fewer} channels, .* has {case.channels}")
    if backbone.latent_multiple > 1:
        refused(backbone, case.latents(7, 8), levels, conditioning, "size 7 x 8, expected multiples of 2")
    refused(backbone, latents, levels_of(0.5), conditioning, r"shape \(1,\), expected \(3,\)")
    refused(backbone, latents, levels, conditioning[:2], "got 2 prompts for 3 latents")
    refused(backbone, latents, levels_of(0.1, 0.2, 1.5), conditioning, "0, 1")
    narrow = replace(conditioning, prompt_embeds=conditioning.prompt_embeds[:, :, :5])
    width = conditioning.prompt_embeds.shape[-1]
    refused(backbone, latents, levels, narrow, f"prompt_embeds is 5 wide, .* takes {width}")
    pooled = conditioning.pooled_prompt_embeds
    assert backbone.pooled_width == (0 if pooled is None else pooled.shape[-1])
    without = replace(conditioning, pooled_prompt_embeds=None)
    if pooled is not None and case.reads_pooled:
        refused(backbone, latents, levels, without, "needs? pooled_prompt_embeds")
        wide = replace(conditioning, pooled_prompt_embeds=torch.zeros(3, 5))
        refused(backbone, latents, levels, wide, "pooled_prompt_embeds is 5 wide")
    elif pooled is not None:
        plain = backbone.features(latents, levels, conditioning)
        assert_equal(backbone.features(latents, levels, without), plain)


def test_padding_of_prompts_changes_nothing_where_the_model_masks_it(case, backbone, conditioning):
    if not case.masked:
        pytest.skip("the model reads padding")
    plain = backbone.features(case.latents(), levels_of(), conditioning)
    width = conditioning.prompt_embeds.shape[-1]
    noise = torch.randn(3, 40, width, generator=torch.Generator().manual_seed(0))
    longer = Conditioning(
        torch.cat([conditioning.prompt_embeds, noise], dim=1),
        prompt_mask=torch.cat([conditioning.prompt_mask, torch.zeros(3, 40, dtype=torch.bool)], dim=1),
    )
    padded = backbone.features(case.latents(), levels_of(), longer)
    mask = conditioning.prompt_mask
    for a, b in zip(plain.visual, padded.visual, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)
    for a, b in zip(plain.text, padded.text, strict=True):
        torch.testing.assert_close(a[mask], b[:, : mask.shape[1]][mask], atol=1e-5, rtol=1e-5)


def test_an_error_inside_leaves_the_model_whole(case, backbone, conditioning):
    names = (backbone.blocks, *backbone.more_blocks, *backbone.leading_blocks, *backbone.used_blocks)
    before = {name: backbone.transformer.get_submodule(name) for name in names}
    handle = before[backbone.blocks][0].register_forward_pre_hook(
        lambda *_: (_ for _ in ()).throw(RuntimeError("stop"))
    )
    with pytest.raises(RuntimeError, match="stop"):
        backbone.features(case.latents(), levels_of(), conditioning)
    handle.remove()
    assert all(backbone.transformer.get_submodule(name) is module for name, module in before.items())
    backbone.features(case.latents(), levels_of(), conditioning)
