"""Adapters over published weights against the architectures written down anew (`originals.py`), on random weights."""

import json
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F
from transformers import BertTokenizerFast

from dina_lrm.rewards.base import load_reward
from dina_lrm.rewards.clip import CLIP_MEAN, CLIP_STD
from dina_lrm.scoring import PromptTruncatedWarning
from tests.models import some_images
from tests.rewards.originals import OpenClip, OriginalImageReward, PublishedMlp
from tests.rewards.tiny_judges import save_tiny_clip
from tests.tiny import WORDS, tiny_clip_tokenizer

SIDE = 16
PROMPTS = ["a red cube", "the small ball on the table"]


def normal(images):
    mean, std = (torch.tensor(values)[:, None, None] for values in (CLIP_MEAN, CLIP_STD))
    return (images - mean) / std


def spread(model):
    """Weights that let every part matter, after the tame ones of fresh layers."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * (0.3 if parameter.ndim > 1 else 0.1) + (parameter.ndim == 1))
    return model.eval()


OPEN_CLIP = {
    "embed_dim": 12,
    "vision_cfg": {"image_size": SIDE, "layers": 2, "width": 24, "head_width": 12, "patch_size": 8},
    "text_cfg": {"context_length": 8, "vocab_size": 0, "width": 16, "heads": 2, "layers": 2},
}


@pytest.fixture(scope="module")
def hpsv2(tmp_path_factory):
    folder, tokenizer = tmp_path_factory.mktemp("hpsv2"), tiny_clip_tokenizer()
    shape = OPEN_CLIP | {"text_cfg": OPEN_CLIP["text_cfg"] | {"vocab_size": len(tokenizer)}}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": shape}))
    model = spread(OpenClip(shape))
    torch.save({"epoch": 1, "state_dict": model.state_dict()}, folder / "HPS_v2.1_compressed.pt")
    tokenizer.save_pretrained(folder)
    return folder, model, tokenizer


@pytest.fixture(scope="module")
def image_reward(tmp_path_factory):
    folder = tmp_path_factory.mktemp("imagereward")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(words))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer", "do_lower_case": true}')
    told = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    told |= {"vocab_size": len(words), "max_position_embeddings": 40, "hidden_act": "gelu", "layer_norm_eps": 1e-12}
    (folder / "med_config.json").write_text(json.dumps(told | {"encoder_width": 768, "add_cross_attention": True}))
    model = spread(OriginalImageReward(len(words)))
    torch.save(model.state_dict(), folder / "ImageReward.pt")
    return folder, model, BertTokenizerFast.from_pretrained(folder)


@pytest.fixture(scope="module")
def aesthetic(tmp_path_factory):
    folder = save_tiny_clip(tmp_path_factory.mktemp("aesthetic"))
    model = spread(PublishedMlp(12))
    torch.save(model.state_dict(), folder / "sac+logos+ava1-l14-linearMSE.pth")
    return folder, model, None


def test_hpsv2_is_the_cosine_of_open_clip(hpsv2):
    folder, model, tokenizer = hpsv2
    images = some_images(2, side=SIDE)
    with torch.no_grad():
        expected = 100 * model(normal(images), tokenizer(PROMPTS[:1] * 2, return_tensors="pt").input_ids)
    reward = load_reward(f"hpsv2:{folder}")
    assert reward.name == f"hpsv2:{folder}"
    torch.testing.assert_close(reward(images, PROMPTS[:1] * 2), expected, rtol=1e-4, atol=1e-4)
    assert expected.std() > 0.1


def test_imagereward_is_blip_and_its_layers(image_reward):
    folder, model, tokenizer = image_reward
    images = some_images(2, side=SIDE)
    tokens = tokenizer(PROMPTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        expected = model(normal(images), tokens.input_ids, tokens.attention_mask)
    torch.testing.assert_close(load_reward(f"imagereward:{folder}")(images, PROMPTS), expected, rtol=1e-3, atol=1e-3)
    assert expected.std() > 0.05
    with pytest.warns(PromptTruncatedWarning, match="1 of 2 prompts are longer than the 35 tokens that ImageReward"):
        load_reward(f"imagereward:{folder}")(images, ["a ball", " ".join(["red"] * 40)])


def test_the_aesthetic_score_is_of_the_normalised_embedding(aesthetic):
    folder, model, _ = aesthetic
    images = some_images(2, side=SIDE)
    clip = load_reward(f"clip:{folder}")
    with torch.no_grad():
        expected = model(F.normalize(clip.towers.embed(images), dim=-1))[:, 0]
    torch.testing.assert_close(load_reward(f"aesthetic:{folder}")(images, ["a", "b"]), expected)


@pytest.mark.parametrize("family", ["hpsv2", "imagereward", "aesthetic"])
def test_scores_do_not_depend_on_the_batch_and_have_gradients(family, request):
    folder = request.getfixturevalue("image_reward" if family == "imagereward" else family)[0]
    reward = load_reward(f"{family}:{folder}")
    assert (reward.kind, reward.differentiable) == ("pixel", True)
    images = some_images(3, side=24).requires_grad_()
    prompts = ["a red cube", "a ball", "the small table on the left"]
    together = reward(images, prompts)
    alone = torch.cat([reward(images[i : i + 1], prompts[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)
    together.sum().backward()
    assert images.grad is not None and (images.grad.abs().sum(dim=(1, 2, 3)) > 0).all()


def changed(folder: Path, copy: Path, file: str, change) -> Path:
    for source in folder.iterdir():
        (copy / source.name).write_bytes(source.read_bytes())
    tensors = torch.load(copy / file, weights_only=True)
    change(tensors.get("state_dict", tensors))
    torch.save(tensors, copy / file)
    return copy


@pytest.mark.parametrize(
    ("family", "file", "tensor"),
    [
        ("hpsv2", "HPS_v2.1_compressed.pt", "visual.transformer.resblocks.1.ln_1.weight"),
        ("imagereward", "ImageReward.pt", "blip.text_encoder.encoder.layer.1.crossattention.self.key.weight"),
        ("aesthetic", "sac+logos+ava1-l14-linearMSE.pth", "layers.4.bias"),
    ],
)
def test_a_missing_a_strange_and_a_misshapen_tensor_are_named(family, file, tensor, request, tmp_path):
    folder = request.getfixturevalue("image_reward" if family == "imagereward" else family)[0]
    for number, (change, message) in enumerate(
        (
            (lambda t: t.pop(tensor), "missing tensors"),
            (lambda t: t.update({"somewhere.else": torch.ones(1)}), r"unexpected tensors: .*somewhere\.else"),
            (lambda t: t.update({tensor: torch.ones(1, 1)}), r"has shape \(1, 1\)"),
        )
    ):
        copy = tmp_path / str(number)
        copy.mkdir()
        with pytest.raises(ValueError, match=message):
            load_reward(f"{family}:{changed(folder, copy, file, change)}")


class Whole(torch.nn.Module):
    """A module that is pickled with its class."""


def test_a_file_with_code_in_it_is_not_run(tmp_path):
    torch.save(Whole(), tmp_path / "ImageReward.pt")
    with pytest.raises(ValueError, match=r"holds more than tensors .* save its state dict once"):
        load_reward(f"imagereward:{tmp_path}")
    with pytest.raises(ValueError, match=r"has no ImageReward\.pt, as a judge has"):
        load_reward(f"imagereward:{save_tiny_clip(tmp_path / 'other')}")
