"""HPSv3 on a tiny Qwen2-VL of random weights, saved under the published names."""

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from dina_lrm.rewards.judges.hpsv3 import REWARD_TOKEN, current_names, scaled_size
from dina_lrm.rewards.names import load_reward
from tests.models import some_images
from tests.rewards.published_folders import QWEN_WORDS, save_hpsv3

pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")


@pytest.fixture(scope="module")
def hpsv3(tmp_path_factory):
    return save_hpsv3(tmp_path_factory.mktemp("hpsv3"))


def test_the_score_is_mu_at_the_reward_token_with_all_tokens_numbered_in_a_row(hpsv3):
    folder, model, head = hpsv3
    reward = load_reward(f"hpsv3:{folder}")
    assert (reward.kind, reward.differentiable, reward.name) == ("pixel", False, f"hpsv3:{folder}")
    images, prompts = some_images(2, side=56), ["a red cube", "cube"]
    found = reward(images, prompts)
    for image, prompt, score in zip(images, prompts, found, strict=True):
        picture = Image.fromarray((image * 255).round().byte().permute(1, 2, 0).numpy())
        seen = reward.images(images=[picture.resize((448, 448), Image.Resampling.BICUBIC)], return_tensors="pt")
        assert seen["image_grid_thw"].tolist() == [[1, 32, 32]]
        start, end = ["<|vision_start|>", *["<|image_pad|>"] * 256, "<|vision_end|>"], ["red", REWARD_TOKEN, "cube"]
        words = [*start, "a", "cube", *prompt.split(), *end]
        ids = torch.tensor([[(*QWEN_WORDS, REWARD_TOKEN).index(word) for word in words]])
        places = torch.arange(len(words)).repeat(3, 1, 1)
        with torch.no_grad():
            h = model(input_ids=ids, position_ids=places, **seen).last_hidden_state[0, words.index(REWARD_TOKEN)]
            expected = head[2](head[1](head[0](h).relu()).relu())[0]
        torch.testing.assert_close(score, expected, rtol=1e-5, atol=2.5e-6)
    torch.testing.assert_close(reward(images[1:], prompts[1:]), found[1:])


@pytest.mark.parametrize(
    ("size", "scaled"),
    [
        ((512, 512), (448, 448)),
        ((64, 64), (448, 448)),
        ((640, 480), (504, 364)),
        ((225, 224), (476, 448)),
        ((224, 500), (308, 672)),
        ((1000, 97), (1456, 140)),
        ((97, 1000), (140, 1456)),
        ((1920, 1081), (588, 336)),
        ((29, 31), (448, 476)),
        ((5, 1000), (56, 6356)),
    ],
)
def test_pictures_are_as_large_as_in_the_published_class(size, scaled):
    """What hpsv3 1.0.0 makes of these sizes; the last by hand: 6.336 times as large, rounded up to 28."""
    assert scaled_size(*size) == scaled


def test_pictures_and_prompts_that_it_cannot_read_are_named(hpsv3):
    reward = load_reward(f"hpsv3:{hpsv3[0]}")
    with pytest.raises(ValueError, match="a picture of 1000 x 4 pixels; accepted: sides of at most 200 to 1"):
        reward(torch.zeros(1, 3, 4, 1000), ["cube"])
    for mark in (REWARD_TOKEN, "<|image_pad|>"):
        with pytest.raises(ValueError, match="accepted: prompts without it"):
            reward(some_images(1, side=56), [f"a {mark} cube"])


def test_names_of_early_and_late_releases_are_the_same_model(hpsv3):
    early = load_file(hpsv3[0] / "HPSv3.safetensors")
    late = {
        f"model.{name}" if name.startswith("visual.") else name.replace("model.", "model.language_model.", 1): tensor
        for name, tensor in early.items()
    }
    assert set(dict(current_names(late))) == set(dict(current_names(early)))
    assert "lm_head.weight" not in dict(current_names(early))


@pytest.mark.parametrize(
    ("file", "write", "message"),
    [
        ("HPSv3.safetensors", lambda t: t.pop("visual.merger.ln_q.weight"), r"missing tensors: visual\.merger\.ln_q"),
        ("HPSv3.safetensors", lambda t: t.pop("rm_head.3.weight"), r"missing tensors: rm_head\.0, \.3 and \.5"),
        (
            "HPSv3.safetensors",
            lambda t: t.update({"value_head.w": torch.ones(1)}),
            r"unexpected tensors: value_head\.w",
        ),
        ("instruction.txt", "no place for it", r"the instruction must hold \{text_prompt\}"),
        ("instruction.txt", None, r"no instruction\.txt, and the package hpsv3"),
    ],
)
def test_what_does_not_fit_is_named(hpsv3, tmp_path, file, write, message):
    for source in hpsv3[0].iterdir():
        (tmp_path / source.name).write_bytes(source.read_bytes())
    if callable(write):
        tensors = load_file(tmp_path / file)
        write(tensors)
        save_file(tensors, tmp_path / file)
    elif write is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_text(write)
    with pytest.raises(ValueError, match=message):
        load_reward(f"hpsv3:{tmp_path}")
