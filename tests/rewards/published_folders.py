"""Folders of published judges at tiny size: random weights under the published names, in the published files."""

import json

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertTokenizerFast, PreTrainedTokenizerFast, Qwen2VLConfig, Qwen2VLModel

from dina_lrm.rewards.judges.hpsv3 import REWARD_TOKEN
from dina_lrm.rewards.judges.mps_cross import CrossTower
from tests.rewards.originals import OpenClip, OriginalImageReward, PublishedMlp
from tests.rewards.tiny_judges import save_tiny_clip
from tests.tiny import WORDS, tiny_clip_tokenizer

SIDE = 16


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


def save_hpsv2(folder, side=SIDE, patch=8):
    """open_clip's file; the original model and its tokenizer too."""
    tokenizer = tiny_clip_tokenizer()
    vision = OPEN_CLIP["vision_cfg"] | {"image_size": side, "patch_size": patch}
    shape = OPEN_CLIP | {"vision_cfg": vision, "text_cfg": OPEN_CLIP["text_cfg"] | {"vocab_size": len(tokenizer)}}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": shape}))
    model = spread(OpenClip(shape))
    torch.save({"epoch": 1, "state_dict": model.state_dict()}, folder / "HPS_v2.1_compressed.pt")
    tokenizer.save_pretrained(folder)
    return folder, model, tokenizer


def save_image_reward(folder, side=SIDE, patch=8):
    """BLIP under its own names; the original model and its tokenizer too."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(words))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer", "do_lower_case": true}')
    told = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    told |= {"vocab_size": len(words), "max_position_embeddings": 40, "hidden_act": "gelu", "layer_norm_eps": 1e-12}
    (folder / "med_config.json").write_text(json.dumps(told | {"encoder_width": 768, "add_cross_attention": True}))
    model = spread(OriginalImageReward(len(words), side, patch))
    torch.save(model.state_dict(), folder / "ImageReward.pt")
    return folder, model, BertTokenizerFast.from_pretrained(folder)


def save_aesthetic(folder, side=SIDE, patch=8):
    """The predictor's file beside its CLIP; the original layers too."""
    save_tiny_clip(folder, side=side, patch=patch)
    model = spread(PublishedMlp(12))
    torch.save(model.state_dict(), folder / "sac+logos+ava1-l14-linearMSE.pth")
    return folder, model, None


QWEN_WORDS = (
    "<pad>",
    "<unk>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
    "a",
    "red",
    "cube",
)
QWEN_CHAT = (
    "{% for message in messages %}{% for part in message['content'] %}{% if part['type'] == 'image' %}"
    "<|vision_start|> <|image_pad|> <|vision_end|> {% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endfor %}"
)


def save_qwen_base(folder):
    """Tokenizer, image processor and configuration as Qwen2-VL publishes them."""
    words = Tokenizer(models.WordLevel({word: n for n, word in enumerate(QWEN_WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    extra = [word for word in QWEN_WORDS if word.startswith("<|")]
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", unk_token="<unk>", additional_special_tokens=extra
    )
    tokenizer.chat_template = QWEN_CHAT
    tokenizer.save_pretrained(folder)
    told = {"image_processor_type": "Qwen2VLImageProcessor", "processor_class": "Qwen2VLProcessor"}
    told |= {
        "patch_size": 14,
        "min_pixels": 3136,
        "max_pixels": 12845056,
        "merge_size": 2,
        "temporal_patch_size": 2,
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(told))
    text = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "vocab_size": len(QWEN_WORDS)}
    text |= {"num_attention_heads": 2, "num_key_value_heads": 1, "bos_token_id": None, "eos_token_id": None}
    rope = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10_000.0}
    ids = {"image_token_id": 4, "video_token_id": 5, "vision_start_token_id": 2, "vision_end_token_id": 3}
    vision = {"depth": 1, "embed_dim": 32, "hidden_size": 32, "num_heads": 2, "patch_size": 14}
    config = Qwen2VLConfig(text_config=text | {"rope_parameters": rope}, vision_config=vision, **ids)
    config.save_pretrained(folder)
    return config


def save_hpsv3(folder):
    """All in one file under the published names; the model and the layers of its head too."""
    config = save_qwen_base(folder)
    config.text_config.vocab_size = len(QWEN_WORDS) + 1
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


def save_mps(folder, side=SIDE, patch=8):
    """A state dict of CLIP and tower beside the CLIP's own files."""
    save_tiny_clip(folder, side=side, patch=patch)
    torch.manual_seed(1)
    tensors = {f"model.{name}": tensor for name, tensor in load_file(folder / "model.safetensors").items()}
    tower = CrossTower(12, 2, heads=3, head_width=4, inner=20).state_dict()
    tensors |= {f"cross_model.{name}": tensor for name, tensor in tower.items()}
    tensors["cross_model.layers.0.1.fn.rotary_emb.inv_freq"] = torch.ones(2)
    (folder / "model.safetensors").unlink()
    save_file(tensors, folder / "MPS_overall.safetensors")
    return folder
