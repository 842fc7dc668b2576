"""A generator's LoRA in every layout that people have is one and the same update; what is no LoRA of it is refused."""

import json
import re
from dataclasses import dataclass

import pytest
import torch
from safetensors.torch import load_file, save_file

from dina_lrm.backbones.lora_file import find_lora, read_lora
from dina_lrm.backbones.lora_names import ModuleNames, kohya_name
from dina_lrm.generators.generator import ADAPTER, Generator, NotFiniteError
from dina_lrm.sampling.objective import Objective
from dina_lrm.sampling.reward_term import RewardTerm
from tests.tiny import tiny_sd3_pipeline
from tests.tiny.flux import tiny_flux_pipeline
from tests.tiny_unets import tiny_sd_pipeline, tiny_sdxl_pipeline

pytestmark = pytest.mark.filterwarnings("ignore:Already found a `peft_config` attribute:UserWarning")
WEIGHTS = "pytorch_lora_weights.safetensors"


@dataclass(frozen=True)
class Learned:
    """Of a module: its factors and alpha."""

    down: torch.Tensor
    up: torch.Tensor
    alpha: float

    @property
    def update(self):
        return self.alpha / len(self.down) * self.up.flatten(1) @ self.down.flatten(1)


def learned(model, *suffixes, ranks=(2, 3, 5)):
    """Random factors of different ranks and alphas for all modules whose name ends with one of `suffixes`."""
    torch.manual_seed(0)
    found = {}
    for name, layer in ModuleNames(model).layers.items():
        if name.endswith(suffixes):
            rank, (outputs, inputs, *kernel) = ranks[len(found) % len(ranks)], layer.weight.shape
            down, up = torch.randn(rank, inputs, *kernel), 0.1 * torch.randn(outputs, rank, *(1 for _ in kernel))
            found[name] = Learned(down, up, 1.0 + len(found) % 4)
    assert len(found) > 3
    return found


def diffusers(found, prefix="unet."):
    tensors = {}
    for name, one in found.items():
        scale = one.alpha / len(one.down)
        tensors |= {f"{prefix}{name}.lora_A.weight": one.down, f"{prefix}{name}.lora_B.weight": scale * one.up}
    return tensors


def older_diffusers(found):
    names = {name: re.sub(r"\.to_(q|k|v|out)(\.0)?$", r".processor.to_\1_lora", name) for name in found}
    return {
        f"unet.{names[name]}.{end}.weight": tensor
        for name, one in found.items()
        for end, tensor in (("down", one.down), ("up", one.alpha / len(one.down) * one.up))
    }


def kohya(found, name_of=kohya_name):
    tensors = {}
    for name, one in found.items():
        own = f"lora_unet_{name_of(name)}"
        tensors |= {f"{own}.lora_down.weight": one.down, f"{own}.lora_up.weight": one.up}
        tensors[f"{own}.alpha"] = torch.tensor(one.alpha)
    return tensors


def sgm_name(name):
    """As the code that XL was published with calls its modules: worked out by hand for two layers a block."""
    for theirs, ours in {
        "input_blocks.4.1": "down_blocks.1.attentions.0", "input_blocks.5.1": "down_blocks.1.attentions.1",
        "middle_block.1": "mid_block.attentions.0", "output_blocks.0.1": "up_blocks.0.attentions.0",
        "output_blocks.1.1": "up_blocks.0.attentions.1", "output_blocks.2.1": "up_blocks.0.attentions.2",
        "input_blocks.1.0": "down_blocks.0.resnets.0", "input_blocks.2.0": "down_blocks.0.resnets.1",
        "input_blocks.3.0.op": "down_blocks.0.downsamplers.0.conv", "input_blocks.4.0": "down_blocks.1.resnets.0",
        "input_blocks.5.0": "down_blocks.1.resnets.1", "middle_block.0": "mid_block.resnets.0",
        "middle_block.2": "mid_block.resnets.1", "output_blocks.0.0": "up_blocks.0.resnets.0",
        "output_blocks.1.0": "up_blocks.0.resnets.1", "output_blocks.2.0": "up_blocks.0.resnets.2",
        "output_blocks.2.2": "up_blocks.0.upsamplers.0", "output_blocks.3.0": "up_blocks.1.resnets.0",
        "output_blocks.4.0": "up_blocks.1.resnets.1", "output_blocks.5.0": "up_blocks.1.resnets.2",
        "in_layers.2": "conv1", "out_layers.3": "conv2",
    }.items():  # fmt: skip
        name = re.sub(rf"(^|\.){re.escape(ours)}(?=\.|$)", rf"\1{theirs}", name)
    return kohya_name(name)


def expect_read(path, pipeline, model, found):
    lora = read_lora(path, model, pipeline)
    assert set(lora.updates) == set(found)
    for name, one in found.items():
        own = lora.updates[name]
        torch.testing.assert_close(own.up.flatten(1) @ own.down.flatten(1), one.update)
    return lora


ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")


@pytest.mark.parametrize("layout", [diffusers, older_diffusers, kohya])
def test_each_layout_of_a_unet_is_the_same_update_with_rank_and_alpha_of_each_module(layout, tmp_path):
    pipeline = tiny_sd_pipeline()
    found = learned(pipeline.unet, *ATTENTION)
    save_file(layout(found), tmp_path / "style.safetensors")
    expect_read(tmp_path / "style.safetensors", pipeline, pipeline.unet, found)


@pytest.mark.parametrize("name_of", [kohya_name, sgm_name])
def test_convolutions_and_the_published_names_of_xl_are_read(name_of, tmp_path):
    pipeline = tiny_sdxl_pipeline()
    found = learned(pipeline.unet, *ATTENTION, "conv1", "conv2", "samplers.0.conv", "proj_in", "ff.net.2")
    save_file(kohya(found, name_of), tmp_path / "xl.safetensors")
    expect_read(tmp_path / "xl.safetensors", pipeline, pipeline.unet, found)


@pytest.mark.parametrize("root", [False, True])
def test_a_folder_of_peft_is_read_with_the_scale_that_its_configuration_gives(root, tmp_path):
    pipeline = tiny_sd3_pipeline()
    found = learned(pipeline.transformer, "attn.to_q", "attn.add_k_proj", ranks=(4,))
    tensors = {f"base_model.model.{name}.lora_{end}.weight": tensor for name, one in found.items()
               for end, tensor in (("A", one.down), ("B", one.up))}  # fmt: skip
    save_file(tensors, tmp_path / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 2, "use_rslora": root, "alpha_pattern": {"attn.to_q": 3}}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    lora = read_lora(find_lora(tmp_path), pipeline.transformer, pipeline)
    for name, one in found.items():
        scale = (3 if name.endswith("to_q") else 2) / (2 if root else 4)
        torch.testing.assert_close(lora.updates[name].up, scale * one.up)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"lora_alpha": "two"}, "lora_alpha: expected float, got 'two'"),
        ({"alpha_pattern": [1]}, "alpha_pattern: expected a table"),
        ({"alpha_pattern": {"attn.to_q": None}}, r"alpha_pattern\.attn\.to_q: expected float, got None"),
        ({"alpha_pattern": {"(": 3}}, r"alpha_pattern '\(': no regular expression"),
        ({"use_rslora": "no"}, "use_rslora: expected bool, got 'no'"),
        ({"peft_type": ["LORA"]}, r"peft_type is \['LORA'\]; accepted: 'LORA'"),
    ],
)
def test_a_configuration_of_wrong_values_is_refused_by_file_and_key(change, told, tmp_path):
    """Whether it lies beside the tensors, as PEFT puts it, or among them, as diffusers does."""
    pipeline = tiny_sd3_pipeline()
    found = learned(pipeline.transformer, "attn.to_q", ranks=(4,))
    tensors = {f"base_model.model.{name}.lora_{end}.weight": tensor for name, one in found.items()
               for end, tensor in (("A", one.down), ("B", one.up))}  # fmt: skip
    save_file(tensors, tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 4, "lora_alpha": 2} | change))
    with pytest.raises(ValueError, match=rf"adapter_config\.json\W.*{told}|adapter_config\.json\.{told}"):
        read_lora(find_lora(tmp_path), pipeline.transformer, pipeline)
    inside = json.dumps({f"transformer.{name}": value for name, value in change.items()})
    save_file(tensors, tmp_path / WEIGHTS, {"format": "pt", "lora_adapter_metadata": inside})
    with pytest.raises(ValueError, match=rf"{re.escape(WEIGHTS)}: lora_adapter_metadata\W.*{told}|metadata\.{told}"):
        read_lora(tmp_path / WEIGHTS, pipeline.transformer, pipeline)


@pytest.mark.parametrize("metadata", ["[]", "3", "{", "null"])
def test_settings_among_the_tensors_that_are_none_are_refused(metadata, tmp_path):
    pipeline = tiny_sd_pipeline()
    tensors = diffusers(learned(pipeline.unet, "to_q"))
    save_file(tensors, tmp_path / WEIGHTS, {"format": "pt", "lora_adapter_metadata": metadata})
    with pytest.raises(ValueError, match=rf"{re.escape(WEIGHTS)}: lora_adapter_metadata: "):
        read_lora(tmp_path / WEIGHTS, pipeline.unet, pipeline)


def test_samples_that_a_lora_makes_infinite_name_it(tmp_path):
    """Finite weights may overflow all the same, as after a flipped bit of an exponent."""
    found = learned(tiny_sd_pipeline().unet, *ATTENTION)
    large = {name: Learned(one.down, 1e30 * one.up, one.alpha) for name, one in found.items()}
    save_file(kohya(large), tmp_path / "a.safetensors")
    generator = Generator(tiny_sd_pipeline(), 32, 2, 4.0, guidance=1.0)
    generator.load_lora(tmp_path / "a.safetensors")
    latents = generator.denoise(generator.noise([0]), generator.encode_prompts(["a"]), generator.levels(2))
    objective = Objective(generator, (RewardTerm("sharpness"),), differentiable=False)
    with pytest.raises(NotFiniteError, match=r"1 of 1 samples .* with the LoRA .*a\.safetensors are not finite"):
        objective(latents, ["a"])


def test_what_diffusers_keeps_beside_the_tensors_is_read(tmp_path):
    pipeline = tiny_sd3_pipeline()
    found = learned(pipeline.transformer, "attn.to_q", ranks=(4,))
    told = json.dumps({"transformer.r": 4, "transformer.lora_alpha": 1, "transformer.target_modules": ["attn.to_q"]})
    raw = {f"transformer.{name}.lora_{end}.weight": tensor for name, one in found.items()
           for end, tensor in (("A", one.down), ("B", one.up))}  # fmt: skip
    save_file(raw, tmp_path / WEIGHTS, {"format": "pt", "lora_adapter_metadata": told})
    lora = read_lora(tmp_path / WEIGHTS, pipeline.transformer, pipeline)
    assert all(torch.equal(lora.updates[name].up, one.up / 4) for name, one in found.items())
    again = tiny_sd3_pipeline()
    again.load_lora_weights(tmp_path / WEIGHTS)
    layer = again.transformer.get_submodule(next(iter(found)))
    own = lora.updates[next(iter(found))]
    torch.testing.assert_close(layer.get_delta_weight(layer.active_adapters[0]), own.up @ own.down)


def plain_and_ours(make, tensors, folder, prompt_length=0):
    """The updates that plain diffusers and a generator of ours have of one file, by module."""
    save_file(tensors, folder / "a.safetensors")
    plain, generator = make(), Generator(make(), 32, 2, 4.0, prompt_length, guidance=1.0)
    plain.load_lora_weights(folder / "a.safetensors", adapter_name="plain")
    generator.load_lora(folder / "a.safetensors")
    model = plain.unet if "unet" in plain.components else plain.transformer
    for name, module in generator.model.named_modules():
        if ADAPTER in getattr(module, "lora_A", {}):
            theirs = model.get_submodule(name)
            assert "plain" in theirs.lora_A, name
            torch.testing.assert_close(module.get_delta_weight(ADAPTER), theirs.get_delta_weight("plain"), msg=name)
            yield name


def test_a_unet_has_the_weights_that_plain_diffusers_gives_it(tmp_path):
    found = learned(tiny_sd_pipeline().unet, *ATTENTION, ranks=(4,))
    same = {name: Learned(one.down, one.up, 2.0) for name, one in found.items()}
    assert set(plain_and_ours(tiny_sd_pipeline, kohya(same), tmp_path)) == set(found)


def test_a_flux_file_with_joined_modules_has_the_weights_that_plain_diffusers_gives_it(tmp_path):
    model = tiny_flux_pipeline().transformer
    width = model.transformer_blocks[0].attn.to_q.in_features
    tensors = {}
    for name, outputs in {"double_blocks_0_img_attn_qkv": 3 * width, "double_blocks_0_txt_attn_proj": width}.items():
        tensors |= {f"lora_unet_{name}.lora_down.weight": torch.randn(2, width),
                    f"lora_unet_{name}.lora_up.weight": torch.randn(outputs, 2),
                    f"lora_unet_{name}.alpha": torch.tensor(1.0)}  # fmt: skip
    loaded = set(plain_and_ours(tiny_flux_pipeline, tensors, tmp_path, prompt_length=4))
    attention = "transformer_blocks.0.attn"
    assert loaded == {f"{attention}.{name}" for name in ("to_q", "to_k", "to_v", "to_add_out")}


def test_modules_of_different_ranks_keep_their_own_and_are_saved_for_plain_diffusers(tmp_path):
    found = learned(tiny_sd_pipeline().unet, *ATTENTION)
    save_file(kohya(found), tmp_path / "a.safetensors")
    generator = Generator(tiny_sd_pipeline(), 32, 2, 4.0, guidance=1.0)
    lora = generator.load_lora(tmp_path / "a.safetensors", 0.5)
    assert {update.rank for update in lora.updates.values()} == {2, 3, 5}
    for name, one in found.items():
        layer = generator.model.get_submodule(name)
        torch.testing.assert_close(layer.get_delta_weight(ADAPTER), 0.5 * one.update)
    generator.save_lora(tmp_path / "saved")
    saved = read_lora(tmp_path / "saved" / WEIGHTS, generator.model, generator.pipeline)
    for name, one in found.items():
        torch.testing.assert_close(saved.updates[name].up @ saved.updates[name].down, 0.5 * one.update)


def test_modules_of_text_encoders_are_left_out_counted_and_said(tmp_path, caplog):
    found = learned(tiny_sd_pipeline().unet, *ATTENTION, ranks=(2,))
    layer = "text_model.encoder.layers.0.self_attn.q_proj"
    texts = {f"lora_te_{kohya_name(layer)}.lora_{end}.weight": torch.zeros(2, 2) for end in ("down", "up")}
    save_file({**kohya(found), **texts}, tmp_path / "a.safetensors")
    generator = Generator(tiny_sd_pipeline(), 32, 2, 4.0, guidance=1.0)
    lora = generator.load_lora(tmp_path / "a.safetensors")
    assert set(lora.updates) == set(found) and lora.of_text_encoders == 1
    assert "a.safetensors: 1 modules of text encoders are left out" in caplog.text


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("lora_unet_a.dora_scale", "DoRA"),
        ("unet.a.lora_magnitude_vector", "DoRA"),
        ("lora_unet_a.hada_w1_a", "LoHa"),
        ("lycoris_a.lokr_w1", "LoKr"),
        ("lora_unet_a.lora_mid.weight", "LoCon with a third factor"),
        ("lora_unet_a.oft_blocks", "OFT"),
        ("lora_unet_a.diff", "whole differences of weights"),
        ("lora_unet_a.diff_b", "whole differences of weights"),
        ("unet.a.lora_B.bias", "LoRA with a bias"),
    ],
)
def test_other_adapters_are_refused_by_their_name(name, kind, tmp_path):
    pipeline = tiny_sd_pipeline()
    save_file({**kohya(learned(pipeline.unet, "to_q")), name: torch.ones(2, 2)}, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=rf"a\.safetensors: '{re.escape(name)}' is of {kind}; accepted: plain LoRA"):
        read_lora(tmp_path / "a.safetensors", pipeline.unet, pipeline)


def without(tensors, end):
    return {name: t for name, t in tensors.items() if not (name.startswith(next(iter(tensors))[:60]) and end in name)}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: without(t, "lora_up"), r"has no up factor; accepted: both factors"),
        (
            lambda t: {k: v[:, :1].contiguous() if "lora_down" in k else v for k, v in t.items()},
            r"does not fit weights of",
        ),
        (lambda t: {k: -v if "alpha" in k else v for k, v in t.items()}, r"has the alpha -\d.0; accepted: a finite"),
        (lambda t: {k: v * float("nan") if "alpha" in k else v for k, v in t.items()}, r"has the alpha nan"),
        (lambda t: {k: v * float("inf") if "lora_up" in k else v for k, v in t.items()}, r"NaN or infinity in its"),
        (
            lambda t: {k: v * float("nan") if "lora_down" in k else v for k, v in t.items()},
            r"NaN or infinity in its",
        ),
        (lambda t: {k.replace("attn1", "attn7"): v for k, v in t.items()}, r"cannot translate|not of UNet2D"),
        (lambda t: {"weight": torch.ones(1)}, r"'weight' is no tensor of a LoRA"),
        (lambda t: {}, r"holds no module of UNet2D"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_by_its_name(change, told, tmp_path):
    pipeline = tiny_sd_pipeline()
    save_file(change(kohya(learned(pipeline.unet, *ATTENTION))), tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=rf"a\.safetensors: .*({told})"):
        read_lora(tmp_path / "a.safetensors", pipeline.unet, pipeline)


def test_a_file_that_is_cut_off_or_pickled_is_refused_by_its_name(tmp_path):
    pipeline = tiny_sd_pipeline()
    save_file(kohya(learned(pipeline.unet, "to_q")), tmp_path / "a.safetensors")
    whole = (tmp_path / "a.safetensors").read_bytes()
    for size in (0, 5, 500, len(whole) - 1):
        (tmp_path / "a.safetensors").write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"a\.safetensors: cannot be read as safetensors"):
            read_lora(tmp_path / "a.safetensors", pipeline.unet, pipeline)
    (tmp_path / "a.bin").write_bytes(b"")
    with pytest.raises(ValueError, match=r"a\.bin: is no \*\.safetensors"):
        read_lora(tmp_path / "a.bin", pipeline.unet, pipeline)


def test_the_file_is_found_by_itself_by_its_folder_and_by_its_run(tmp_path):
    (tmp_path / "run" / "lora").mkdir(parents=True)
    (tmp_path / "run" / "lora" / WEIGHTS).touch()
    (tmp_path / "style.safetensors").touch()
    assert find_lora(tmp_path / "run") == find_lora(tmp_path / "run" / "lora") == tmp_path / "run" / "lora" / WEIGHTS
    assert find_lora(tmp_path) == find_lora(tmp_path / "style.safetensors") == tmp_path / "style.safetensors"
    (tmp_path / "other.safetensors").touch()
    with pytest.raises(
        ValueError, match=r"holds 2 files \(other\.safetensors, style\.safetensors\); accepted: the name"
    ):
        find_lora(tmp_path)
    (tmp_path / "model_index.json").touch()
    assert find_lora(tmp_path) is None and find_lora(tmp_path / "nothing") is None


@pytest.mark.parametrize("scale", [float("nan"), float("inf")])
def test_a_scale_that_is_no_number_is_refused(scale, tmp_path):
    generator = Generator(tiny_sd_pipeline(), 32, 2, 4.0, guidance=1.0)
    generator.save_lora(tmp_path)
    assert load_file(tmp_path / WEIGHTS)
    with pytest.raises(ValueError, match="accepted: a finite number"):
        generator.load_lora(tmp_path, scale)
