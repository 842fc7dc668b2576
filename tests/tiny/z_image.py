"""The smallest real `ZImagePipeline`: one refiner of each kind, three layers, a Qwen3 text encoder."""

from pathlib import Path

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, ZImagePipeline, ZImageTransformer2DModel
from transformers import Qwen3Config, Qwen3Model

from tests.tiny import LATENT_CHANNELS, TEXT_WIDTH, WIDTH, frozen, tiny_vae
from tests.tiny.tokenizers import tiny_qwen_tokenizer


def tiny_z_image_transformer(layers: int = 3) -> ZImageTransformer2DModel:
    model = ZImageTransformer2DModel(
        in_channels=LATENT_CHANNELS,
        dim=WIDTH,
        n_layers=layers,
        n_refiner_layers=1,
        n_heads=2,
        n_kv_heads=2,
        cap_feat_dim=2 * TEXT_WIDTH,
        axes_dims=[4, 6, 6],
        axes_lens=[256, 32, 32],
    )
    # Zeros in a fresh model; in a trained one they are not.
    for token in (model.x_pad_token, model.cap_pad_token):
        torch.nn.init.normal_(token)
    return model


def tiny_z_image_pipeline(seed: int = 0) -> ZImagePipeline:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tokenizer = tiny_qwen_tokenizer()
        text = Qwen3Config(
            vocab_size=len(tokenizer),
            hidden_size=2 * TEXT_WIDTH,
            intermediate_size=TEXT_WIDTH,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=TEXT_WIDTH,
        )
        return frozen(
            ZImagePipeline(
                transformer=tiny_z_image_transformer(),
                scheduler=FlowMatchEulerDiscreteScheduler(shift=1.0),
                vae=tiny_vae(),
                text_encoder=Qwen3Model(text),
                tokenizer=tokenizer,
            )
        )


def saved_z_image_pipeline(folder: Path) -> Path:
    tiny_z_image_pipeline().save_pretrained(folder)
    return folder
