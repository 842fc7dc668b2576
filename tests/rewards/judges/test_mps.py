"""MPS: its tower against attention written out by hand, its mask, and its folder."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F
from transformers import CLIPImageProcessorPil

from dina_lrm.rewards.judges.mps_cross import CrossTower, rotated
from dina_lrm.rewards.names import load_reward
from tests.models import some_images
from tests.rewards.published_folders import save_mps

WIDTH, HEADS, HEAD, INNER = 12, 3, 4, 20


def norm(x, weight):
    return (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt() * weight


def swiglu(x):
    first, second = x.chunk(2, dim=-1)
    return second * torch.sigmoid(second) * first


def by_hand(weights, image, words, mask):
    """One image, one layer: sums written out."""
    w = {name.removeprefix("layers.0."): tensor for name, tensor in weights.items()}
    x = norm(image, w["0.fn.norm.weight"])
    q = (x @ w["0.fn.to_q.weight"].T).unflatten(-1, (HEADS, HEAD))
    k, v = (words @ w["0.fn.to_kv.weight"].T).chunk(2, dim=-1)
    share = torch.softmax(torch.einsum("nhd,md->nhm", q, k) / HEAD**0.5 + mask, dim=-1)
    read = torch.einsum("nhm,md->nhd", share, v).flatten(1) @ w["0.fn.to_out.weight"].T
    image = image + read + swiglu(x @ w["0.fn.ff.0.weight"].T) @ w["0.fn.ff.2.weight"].T
    x = norm(image, w["1.fn.norm.weight"])
    q, k, v, ff = (x @ w["1.fn.fused_attn_ff_proj.weight"].T).split((HEADS * HEAD, HEAD, HEAD, 2 * INNER), dim=-1)
    q, k = rotated(q.unflatten(-1, (HEADS, HEAD)).transpose(0, 1)), rotated(k)
    share = torch.softmax(torch.einsum("hnd,md->hnm", q, k) / HEAD**0.5, dim=-1)
    read = torch.einsum("hnm,md->nhd", share, v).flatten(1) @ w["1.fn.attn_out.weight"].T
    return image + read + swiglu(ff) @ w["1.fn.ff_out.1.weight"].T


def test_the_tower_is_the_sums_written_out():
    torch.manual_seed(0)
    tower = CrossTower(WIDTH, 1, HEADS, HEAD, INNER)
    image, words, mask = torch.randn(2, 5, WIDTH), torch.randn(2, 7, WIDTH), torch.zeros(2, 7)
    mask[:, 4:] = float("-inf")
    with torch.no_grad():
        found = tower(image, words, mask)
        for row in range(2):
            expected = by_hand(tower.state_dict(), image[row], words[row], mask[row])
            torch.testing.assert_close(found[row], expected, rtol=1e-4, atol=1e-5)
        words[:, 4:] += 1
        torch.testing.assert_close(tower(image, words, mask), found)


def test_rotary_positions_leave_lengths_and_depend_on_distance_alone():
    x = torch.randn(1, 6, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(rotated(x).norm(dim=-1), x.norm(dim=-1))
    torch.testing.assert_close(rotated(x)[:, 0], x[:, 0])
    same = rotated(x[:, :1].expand(-1, 6, -1))[0]
    products = same @ same.T
    torch.testing.assert_close(products[0, 2], products[3, 5])


@pytest.fixture(scope="module")
def mps(tmp_path_factory):
    return save_mps(tmp_path_factory.mktemp("mps"))


@pytest.mark.parametrize("size", [(16, 16), (16, 19), (40, 25)])
def test_the_score_is_the_scaled_cosine_of_text_and_what_the_tower_saw(mps, size):
    judge = load_reward(f"mps:{mps}")
    levels = torch.randint(0, 256, (2, *size, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images, prompts = levels.permute(0, 3, 1, 2).float() / 255, ["a red cube", "the ball"]
    found = judge(images, prompts)
    clip = judge.clip
    with torch.no_grad():
        tokens = judge.tokenizer(prompts, padding="max_length", max_length=8, return_tensors="pt").input_ids
        text = clip.text_model(tokens)
        words, whole = (clip.text_projection(x) for x in (text.last_hidden_state, text.pooler_output))
        pixels = CLIPImageProcessorPil.from_pretrained(mps)(list(levels.numpy()), return_tensors="pt").pixel_values
        image = clip.visual_projection(clip.vision_model(pixels).last_hidden_state)
        seen = judge.tower(image, words, judge._mask(words))[:, 0]
        expected = clip.logit_scale.exp() * F.cosine_similarity(whole, seen, dim=-1)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    mask = judge._mask(words)
    assert ((mask == 0).any(dim=1)).all() and set(mask.unique().tolist()) <= {0.0, float("-inf")}


def test_scores_do_not_depend_on_the_batch_and_have_gradients(mps):
    judge = load_reward(f"mps:{mps}")
    images = some_images(3, side=24).requires_grad_()
    prompts = ["a red cube", "the ball", "a table"]
    together = judge(images, prompts)
    alone = torch.cat([judge(images[i : i + 1], prompts[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)
    together.sum().backward()
    assert (images.grad.abs().sum(dim=(1, 2, 3)) > 0).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("cross_model.layers.1.1.fn.attn_out.weight"), r"missing tensors: layers\.1\.1\.fn\.attn_out"),
        (lambda t: t.pop("cross_model.layers.0.0.fn.to_q.weight"), r"missing tensors: cross_model\.layers\.0\.0"),
        (lambda t: t.update({"head.weight": torch.ones(1)}), r"unexpected tensors: head\.weight"),
    ],
)
def test_what_does_not_fit_is_named(mps, tmp_path, change, message):
    for source in mps.iterdir():
        (tmp_path / source.name).write_bytes(source.read_bytes())
    tensors = load_file(tmp_path / "MPS_overall.safetensors")
    change(tensors)
    save_file(tensors, tmp_path / "MPS_overall.safetensors")
    with pytest.raises(ValueError, match=message):
        load_reward(f"mps:{tmp_path}")
