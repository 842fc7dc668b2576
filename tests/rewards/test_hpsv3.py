"""HPSv3 on a tiny Qwen2-VL of random weights, saved under the published names."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2VLConfig, Qwen2VLModel

from dina_lrm.rewards.base import load_reward
from dina_lrm.rewards.hpsv3 import REWARD_TOKEN, current_names
from tests.models import some_images

pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")

WORDS = ("<pad>", "<unk>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>", "a", "red", "cube")
CHAT = (
    "{% for message in messages %}{% for part in message['content'] %}{% if part['type'] == 'image' %}"
    "<|vision_start|> <|image_pad|> <|vision_end|> {% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endfor %}"
)


def save_base(folder):
    """Tokenizer, image processor and configuration as Qwen2-VL publishes them."""
    words = Tokenizer(models.WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    extra = [word for word in WORDS if word.startswith("<|")]
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", unk_token="<unk>", additional_special_tokens=extra
    )
    tokenizer.chat_template = CHAT
    tokenizer.save_pretrained(folder)
    told = {"image_processor_type": "Qwen2VLImageProcessor", "processor_class": "Qwen2VLProcessor"}
    told |= {
        "patch_size": 14,
        "merge_size": 2,
        "temporal_patch_size": 2,
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(told))
    text = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "vocab_size": len(WORDS)}
    text |= {"num_attention_heads": 2, "num_key_value_heads": 1, "bos_token_id": None, "eos_token_id": None}
    rope = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10_000.0}
    ids = {"image_token_id": 4, "video_token_id": 5, "vision_start_token_id": 2, "vision_end_token_id": 3}
    vision = {"depth": 1, "embed_dim": 32, "hidden_size": 32, "num_heads": 2, "patch_size": 14}
    config = Qwen2VLConfig(text_config=text | {"rope_parameters": rope}, vision_config=vision, **ids)
    config.save_pretrained(folder)
    return config


@pytest.fixture(scope="module")
def hpsv3(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hpsv3")
    config = save_base(folder)
    config.text_config.vocab_size = len(WORDS) + 1
    torch.manual_seed(0)
    model = Qwen2VLModel(config).eval()
    head = torch.nn.Sequential(*(torch.nn.Linear(a, b) for a, b in ((32, 12), (12, 6), (6, 2))))
    published = {f"rm_head.{n}.{kind}": t for layer, n in zip(head, (0, 3, 5), strict=True)
                 for kind, t in layer.state_dict().items()}  # fmt: skip
    for name, tensor in model.state_dict().items():
        published[name.replace("language_model.", "model.")] = tensor
    published["lm_head.weight"] = torch.zeros(3, 32)
    save_file({name: tensor.contiguous() for name, tensor in published.items()}, folder / "HPSv3.safetensors")
    (folder / "instruction.txt").write_text(f"a cube {{text_prompt}} red {REWARD_TOKEN} cube")
    return folder, model, head


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
        ids = torch.tensor([[(*WORDS, REWARD_TOKEN).index(word) for word in words]])
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
