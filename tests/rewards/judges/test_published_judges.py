"""Adapters over published weights against the architectures written down anew (`originals.py`), on random weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F
from transformers import CLIPModel

from dina_lrm.reward_model.inputs import PromptTruncatedWarning
from dina_lrm.rewards.judges.pictures import CLIP_MEAN, CLIP_STD
from dina_lrm.rewards.names import load_reward
from tests.models import some_images
from tests.rewards.published_folders import SIDE, save_aesthetic, save_hpsv2, save_image_reward
from tests.rewards.tiny_judges import save_tiny_clip

PROMPTS = ["a red cube", "the small ball on the table"]


def normal(images):
    mean, std = (torch.tensor(values)[:, None, None] for values in (CLIP_MEAN, CLIP_STD))
    return (images - mean) / std


def whole(images):
    """As they would be saved: what the published code opens."""
    return (images * 255).round() / 255


def cut_by_torchvision(images):
    """Resize and CenterCrop of torchvision to `SIDE`, done by Pillow, which it calls."""
    height, width = images.shape[2:]
    size = (SIDE, int(SIDE * height / width)) if width <= height else (int(SIDE * width / height), SIDE)
    left, top = (round((length - SIDE) / 2) for length in size)
    pictures = [Image.fromarray((image * 255).round().byte().permute(1, 2, 0).numpy()) for image in images]
    found = [
        each.resize(size, Image.Resampling.BICUBIC).crop((left, top, left + SIDE, top + SIDE)) for each in pictures
    ]
    return torch.stack([torch.from_numpy(np.array(each)).permute(2, 0, 1) for each in found]).float() / 255


@pytest.fixture(scope="module")
def hpsv2(tmp_path_factory):
    return save_hpsv2(tmp_path_factory.mktemp("hpsv2"))


@pytest.fixture(scope="module")
def image_reward(tmp_path_factory):
    return save_image_reward(tmp_path_factory.mktemp("image_reward"))


@pytest.fixture(scope="module")
def aesthetic(tmp_path_factory):
    return save_aesthetic(tmp_path_factory.mktemp("aesthetic"))


@pytest.mark.parametrize(("size", "bars"), [((16, 16), 0), ((24, 48), 4), ((48, 24), 4), ((9, 30), 5)])
def test_hpsv2_is_the_cosine_of_open_clip_on_the_whole_picture(hpsv2, size, bars):
    folder, model, tokenizer = hpsv2
    images = whole(torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0)))
    inside = [max(1, round(length * SIDE / max(size))) for length in size]
    fitted = F.interpolate(images, inside, mode="bicubic", antialias=True) if max(size) > SIDE else images
    pixels = torch.zeros(2, 3, SIDE, SIDE)
    rows, columns = (slice((SIDE - length) // 2, (SIDE - length) // 2 + length) for length in inside)
    pixels[:, :, rows, columns] = fitted
    assert min(rows.start, columns.start) == 0 and max(rows.start, columns.start) == bars
    with torch.no_grad():
        expected = 100 * model(normal(pixels), tokenizer(["a red cube"] * 2, return_tensors="pt").input_ids)
    reward = load_reward(f"hpsv2:{folder}")
    assert reward.name == f"hpsv2:{folder}"
    torch.testing.assert_close(reward(images, ["A  RED &#99;ube"] * 2), expected, rtol=1e-4, atol=1e-4)
    assert expected.std() > 0.05


@pytest.mark.parametrize("clip_of", ["open_clip", "transformers"])
def test_hpsv2_reads_entities_and_typographic_signs_whoever_wrote_its_folder(hpsv2, tmp_path, clip_of):
    folder = hpsv2[0] if clip_of == "open_clip" else save_tiny_clip(tmp_path)
    reward, image = load_reward(f"hpsv2:{folder}"), whole(some_images(1, side=SIDE))
    same = [reward(image, [prompt]).item() for prompt in ("a ’ cube", "A &rsquo; CUBE", "a '  cube", "ａ &#39; cube")]
    assert same == pytest.approx(same[:1] * 4, abs=1e-5)
    assert reward(image, ["a cube"]).item() != pytest.approx(same[0], abs=1e-3)


@pytest.mark.parametrize("size", [(16, 16), (19, 16), (16, 21), (33, 70), (80, 17)])
def test_imagereward_is_blip_and_its_layers(image_reward, size):
    folder, model, tokenizer = image_reward
    images = whole(torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0)))
    tokens = tokenizer(PROMPTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        expected = model(normal(cut_by_torchvision(images)), tokens.input_ids, tokens.attention_mask)
    torch.testing.assert_close(load_reward(f"imagereward:{folder}")(images, PROMPTS), expected, rtol=1e-4, atol=1e-4)
    assert expected.std() > 0.01


def test_a_prompt_that_imagereward_does_not_read_to_its_end_is_said(image_reward):
    with pytest.warns(PromptTruncatedWarning, match="1 of 2 prompts are longer than the 35 tokens that ImageReward"):
        load_reward(f"imagereward:{image_reward[0]}")(some_images(2, side=SIDE), ["a ball", " ".join(["red"] * 40)])


@pytest.mark.parametrize("size", [(16, 16), (19, 16), (16, 21), (33, 70)])
def test_the_aesthetic_score_is_of_the_normalised_embedding_of_the_picture_that_torchvision_cuts(aesthetic, size):
    folder, model, _ = aesthetic
    images = whole(torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0)))
    clip = CLIPModel.from_pretrained(folder)
    with torch.no_grad():
        seen = clip.visual_projection(clip.vision_model(normal(cut_by_torchvision(images))).pooler_output)
        expected = model(seen / seen.norm(dim=-1, keepdim=True))[:, 0]
    torch.testing.assert_close(load_reward(f"aesthetic:{folder}")(images, ["a", "b"]), expected, rtol=1e-4, atol=1e-5)


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
    with pytest.raises(ValueError, match=r"holds more than tensors, .* save its state dict once"):
        load_reward(f"imagereward:{tmp_path}")
    with pytest.raises(ValueError, match=r"has no ImageReward\.pt, as a judge has"):
        load_reward(f"imagereward:{save_tiny_clip(tmp_path / 'other')}")
