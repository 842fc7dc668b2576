"""The smallest real judges: transformers classes with random weights, saved as their folders are published."""

import json

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from tests.tiny import tiny_clip_tokenizer

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
SIZE = 16


def save_tiny_clip(folder, seed=0, side=SIZE, patch=8):
    tokenizer = tiny_clip_tokenizer()
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    special = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    config = CLIPConfig(
        text_config=shape | special | {"vocab_size": len(tokenizer), "max_position_embeddings": 8},
        vision_config=shape | {"image_size": side, "patch_size": patch},
        projection_dim=12,
    )
    torch.manual_seed(seed)
    CLIPModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    told = {"image_processor_type": "CLIPImageProcessor", "crop_size": {"height": side, "width": side}}
    told |= {"size": {"shortest_edge": side}, "image_mean": MEAN, "image_std": STD, "resample": 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(told))
    return folder


VLM_WORDS = ("4", "<pad>", "<s>", "</s>", "<unk>", "<image>", "Final", "Score", ":", "a", "red", "cube")
CHAT = (
    "{% for message in messages %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image> {% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endfor %}"
)


def save_tiny_vlm(folder, says_four=True):
    """A LLaVA that answers every question with `4`, or with what its random weights make of it."""
    vocabulary = {word: number for number, word in enumerate(VLM_WORDS)}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    special = {name: f"<{name[:-6]}>" for name in ("pad_token", "unk_token")}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, bos_token="<s>", eos_token="</s>", additional_special_tokens=["<image>"], **special
    )
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessorPil(
            size={"shortest_edge": SIZE}, crop_size={"height": SIZE, "width": SIZE}, image_mean=MEAN, image_std=STD
        ),
        tokenizer=tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT,
    )
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    ids = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 1}
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(image_size=SIZE, patch_size=8, **shape),
        text_config=LlamaConfig(vocab_size=len(vocabulary), max_position_embeddings=512, **shape, **ids),
        image_token_index=vocabulary["<image>"],
    )
    torch.manual_seed(0)
    model = LlavaForConditionalGeneration(config)
    if says_four:  # all logits are then 0, and the first word is taken
        torch.nn.init.zeros_(model.model.language_model.norm.weight)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
