"""HPSv3 on a tiny Qwen2-VL of random weights, saved under the published names."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from dina_lrm.rewards.base import load_reward
from dina_lrm.rewards.hpsv3 import REWARD_TOKEN, current_names
from tests.models import some_images
from tests.rewards.published_folders import QWEN_WORDS, save_hpsv3

pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")


@pytest.fixture(scope="module")
def hpsv3(tmp_path_factory):
    return save_hpsv3(tmp_path_factory.mktemp("hpsv3"))


def test_the_score_is_mu_at_the_reward_token(hpsv3):
    folder, model, head = hpsv3
    reward = load_reward(f"hpsv3:{folder}")
    assert (reward.kind, reward.differentiable, reward.name) == ("pixel", False, f"hpsv3:{folder}")
    images, prompts = some_images(2, side=56), ["a red cube", "cube"]
    found = reward(images, prompts)
    for image, prompt, score in zip(images, prompts, found, strict=True):
        picture = (image * 255).round().byte().permute(1, 2, 0).numpy()
        seen = reward.images(images=[picture], return_tensors="pt")
        assert seen["image_grid_thw"].tolist() == [[1, 32, 32]]
        places = ["<|image_pad|>"] * 256
        words = [
            "<|vision_start|>",
            *places,
            "<|vision_end|>",
            "a",
            "cube",
            *prompt.split(),
            "red",
            REWARD_TOKEN,
            "cube",
        ]
        ids = torch.tensor([[(*QWEN_WORDS, REWARD_TOKEN).index(word) for word in words]])
        given = {"input_ids": ids, "mm_token_type_ids": (ids == 4).long(), **seen}
        with torch.no_grad():
            states = model(**given).last_hidden_state[0]
            h = states[words.index(REWARD_TOKEN)]
            expected = head[2](head[1](head[0](h).relu()).relu())[0]
        torch.testing.assert_close(score, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(reward(images[1:], prompts[1:]), found[1:])


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
