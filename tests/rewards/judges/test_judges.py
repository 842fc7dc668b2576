"""Judges over published libraries, against those libraries on the same weights; answers that cannot be read."""

import numpy as np
import pytest
import torch
from transformers import CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

from dina_lrm.reward_model.inputs import PromptTruncatedWarning
from dina_lrm.rewards.function import FunctionReward
from dina_lrm.rewards.heuristics import Colourfulness, HighFrequency, JpegSize, Sharpness
from dina_lrm.rewards.judges.vlm import VlmJudge, read_score
from dina_lrm.rewards.names import load_reward
from tests.models import some_images
from tests.rewards.functions import sometimes, too_few
from tests.rewards.tiny_judges import save_tiny_clip, save_tiny_vlm


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return save_tiny_clip(tmp_path_factory.mktemp("clip"))


@pytest.mark.parametrize("size", [(16, 16), (32, 32), (24, 48), (17, 16), (16, 19), (9, 130), (31, 20)])
def test_clip_is_what_transformers_computes(clip, size):
    torch.manual_seed(1)
    small = torch.rand(2, 3, 4, 4)
    images = torch.nn.functional.interpolate(small, size, mode="bilinear")
    images = (images * 255).round() / 255
    model, tokenizer = CLIPModel.from_pretrained(clip), CLIPTokenizer.from_pretrained(clip)
    pictures = [(image.permute(1, 2, 0) * 255).round().byte().numpy() for image in images]
    pixels = CLIPImageProcessorPil.from_pretrained(clip)(pictures, return_tensors="pt").pixel_values
    tokens = tokenizer(["a red cube", "ball"], padding=True, return_tensors="pt")
    with torch.no_grad():
        logits = model(**tokens, pixel_values=pixels).logits_per_image.diagonal()
    pick = load_reward(f"pickscore:{clip}")(images, ["a red cube", "ball"])
    torch.testing.assert_close(pick, logits, rtol=1e-5, atol=1e-5)
    cosine = load_reward(f"clip:{clip}")(images, ["a red cube", "ball"]) / 100
    torch.testing.assert_close(cosine * model.logit_scale.exp().detach(), pick, rtol=1e-5, atol=1e-5)


def test_a_prompt_that_clip_does_not_read_to_its_end_is_said(clip):
    with pytest.warns(PromptTruncatedWarning, match="1 of 1 prompts are longer than the 8 tokens"):
        load_reward(f"clip:{clip}")(some_images(1), ["a red cube on the small green table"])


def test_weights_that_are_missing_or_something_else_are_refused(clip, tmp_path):
    from safetensors.torch import load_file, save_file

    for file in clip.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    tensors = load_file(clip / "model.safetensors")
    del tensors["visual_projection.weight"]
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"1 weights of CLIP are missing, first visual_projection\.weight"):
        load_reward(f"clip:{tmp_path}")
    with pytest.raises(ValueError, match="There is no judge 'nowhere'"):
        load_reward("clip:nowhere")


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        ("Final Score: 3.5", 3.5),
        ("It is good.\n**Final Score:** 4", 4.0),
        ("final score = 2\nOn reflection.\nFinal Score: 5", 5.0),
        ("<think>Final Score: 1 would be harsh</think><answer>Final Score: 4</answer>", 4.0),
        ("<answer>3</answer>", 3.0),
        ("4/5", 4.0),
        (" 2.0. ", 2.0),
        ("I would say 4, or perhaps 3", None),
        ("<think>Final Score: 2", 2.0),
        ("<answer>good</answer>", None),
        ("", None),
        ("-1", -1.0),
    ],
)
def test_a_score_is_read_or_missing_and_never_guessed(answer, score):
    assert read_score(answer) == score


def test_a_vision_language_model_is_asked_and_its_silence_is_counted(tmp_path):
    judge = VlmJudge.load(str(save_tiny_vlm(tmp_path / "four")))
    judge.max_new_tokens = 1
    assert judge(some_images(2), ["a red cube", "a ball"]).tolist() == [4.0, 4.0]
    assert judge.unread == []
    rambling = VlmJudge.load(str(save_tiny_vlm(tmp_path / "random", says_four=False)))
    rambling.max_new_tokens = 4
    assert rambling(some_images(2), ["a red cube", "a ball"]).isnan().all()
    assert len(rambling.unread) == 2


def test_heuristics_by_hand():
    flat, board = torch.full((1, 3, 8, 8), 0.5), torch.zeros(1, 3, 8, 8)
    board[:, :, ::2, ::2] = board[:, :, 1::2, 1::2] = 1
    assert Sharpness()(flat, [""]).item() == pytest.approx(0, abs=1e-10)
    assert Sharpness()(board, [""]).item() == pytest.approx(16, rel=1e-5)
    red = torch.zeros(1, 3, 8, 8)
    red[:, 0] = 1
    assert Colourfulness()(flat, [""]).item() == pytest.approx(0, abs=1e-5)
    assert Colourfulness()(red, [""]).item() == pytest.approx(0.3 * np.sqrt(1 + 0.25), rel=1e-4)
    assert HighFrequency()(flat, [""]).item() == pytest.approx(0, abs=1e-6)
    assert HighFrequency()(board, [""]).item() > 0.8
    ramp = torch.linspace(0, 1, 32).expand(1, 3, 32, 32)
    assert HighFrequency()(ramp, [""]).item() < 0.05
    assert HighFrequency()(ramp.transpose(2, 3), [""]).item() == pytest.approx(
        HighFrequency()(ramp, [""]).item(), abs=1e-5
    )
    sizes = JpegSize()(torch.cat([flat, torch.rand(1, 3, 8, 8)]), ["", ""])
    assert sizes[0] > sizes[1]


def test_functions_may_have_no_score_but_not_too_few():
    found = FunctionReward(sometimes)(some_images(2), ["easy", "hard"])
    assert found[0] == 1 and found[1].isnan()
    with pytest.raises(ValueError, match=r"\(1,\) scores of 2 inputs"):
        FunctionReward(too_few)(some_images(2), ["a", "b"])
    for name in ("tests.rewards.functions.absent", "no_module.f", "f", "tests.rewards.functions.number"):
        with pytest.raises(ValueError, match="accepted"):
            load_reward(f"python:{name}")


def test_a_function_of_torch_has_a_gradient_and_others_say_that_they_have_none():
    dark = FunctionReward(lambda images, prompts: -images.mean(dim=(1, 2, 3)), "dark", differentiable=True)
    images = some_images(2).requires_grad_()
    assert torch.autograd.grad(dark(images, ["a", "b"]).sum(), images)[0].abs().sum() > 0
    counted = load_reward("python:tests.rewards.functions.constant")
    assert counted.differentiable and counted(some_images(2), ["a", "b"]).tolist() == [1.0, 1.0]
    with pytest.raises(ValueError, match=r"python:tests.rewards.functions.constant: its scores have no gradient"):
        counted(images, ["a", "b"])


def test_what_fails_in_a_function_bears_its_name():
    with pytest.raises(ValueError, match=r"python:tests.rewards.functions.failing: RuntimeError: boom"):
        load_reward("python:tests.rewards.functions.failing")(some_images(1), ["a"])


def test_a_mixture_is_the_weighted_sum_of_z_scores(clip, tmp_path):
    file = tmp_path / "m.json"
    file.write_text('[{"reward": "sharpness", "weight": -2, "mean": 0.1, "std": 4}, {"reward": "colourfulness"}]')
    images, prompts = some_images(3), ["a"] * 3
    expected = -2 * (Sharpness()(images, prompts) - 0.1) / 4 + Colourfulness()(images, prompts)
    torch.testing.assert_close(load_reward(f"mixture:{file}")(images, prompts), expected)
    zero = '[{"reward": "sharpness", "std": 0}]'
    for text, message in (("[]", "a JSON list of 1 to 64 rewards"), (zero, "std above 0"), ("{", "m.json")):
        file.write_text(text)
        with pytest.raises(ValueError, match=message):
            load_reward(f"mixture:{file}")
    with pytest.raises(ValueError, match="no such file"):
        load_reward("mixture:nowhere.json")
