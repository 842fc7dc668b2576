"""The smallest real `StableDiffusion3Pipeline`: real classes, random weights, tokenizers made in code.

`tiny_sd3_pipeline()` builds one in memory, `saved_tiny_pipeline(folder)` writes one; the fixtures `tiny_pipeline`
(fresh for each test) and `tiny_folder` (one for the session, read only) of `fixtures.py` give both.
A word of `WORDS` is one token.
"""

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline
from transformers import (
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5TokenizerFast,
)

WORDS = ("a", "the", "red", "green", "blue", "cube", "ball", "small", "large", "on", "left", "of", "table")
CLIP_TOKENS = 8
WIDTH = 32
TEXT_WIDTH = 12
LATENT_CHANNELS = 16
PIXELS_PER_LATENT = 4


def tiny_clip_tokenizer() -> CLIPTokenizer:
    """A real byte-pair tokenizer that knows `WORDS` and single letters, at most `CLIP_TOKENS` tokens."""
    letters = sorted(set("abcdefghijklmnopqrstuvwxyz,."))
    symbols = [*letters, *(letter + "</w>" for letter in letters)]
    merges = []
    for word in WORDS:
        piece = word[-1] + "</w>"
        # From the right: every piece ends a word, so that the merges of one word cannot split another.
        for letter in reversed(word[:-1]):
            if letter + piece not in symbols:
                merges.append((letter, piece))
                symbols.append(letter + piece)
            piece = letter + piece
    vocabulary = {symbol: i for i, symbol in enumerate([*symbols, "<|startoftext|>", "<|endoftext|>"])}
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=CLIP_TOKENS)
    for word in WORDS:
        assert len(tokenizer(word).input_ids) == 3, f"{word!r} must be one token, got {tokenizer.tokenize(word)}"
    return tokenizer


def tiny_t5_tokenizer() -> T5TokenizerFast:
    """A real unigram tokenizer that knows `WORDS`; other words become <unk>."""
    specials = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    tokenizer = T5TokenizerFast(vocab=[*specials, *((f"▁{word}", -1.0) for word in WORDS)], extra_ids=0)
    for word in WORDS:
        assert len(tokenizer(word).input_ids) == 2, f"{word!r} must be one token, got {tokenizer.tokenize(word)}"
    return tokenizer


def tiny_transformer(dual: bool = True, layers: int = 4) -> SD3Transformer2DModel:
    """Width 32, patch 2; `dual` means SD3.5-Medium's dual attention (first half of the blocks) and qk-norm."""
    return SD3Transformer2DModel(
        sample_size=8,
        patch_size=2,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        num_layers=layers,
        attention_head_dim=WIDTH // 2,
        num_attention_heads=2,
        joint_attention_dim=2 * TEXT_WIDTH,
        caption_projection_dim=WIDTH,
        pooled_projection_dim=2 * TEXT_WIDTH,
        pos_embed_max_size=16,
        dual_attention_layers=tuple(range(layers // 2)) if dual else (),
        qk_norm="rms_norm" if dual else None,
    )


def tiny_vae() -> AutoencoderKL:
    """Four times smaller in each direction, with a scale and a shift that are neither 1 nor 0."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(8, 8, 16),
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=4,
        sample_size=32,
        mid_block_add_attention=False,
        use_quant_conv=False,
        use_post_quant_conv=False,
        scaling_factor=1.5305,
        shift_factor=0.0609,
    )


def tiny_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModelWithProjection:
    """Two CLIP layers of width 12."""
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=TEXT_WIDTH,
        intermediate_size=TEXT_WIDTH,
        projection_dim=TEXT_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=CLIP_TOKENS,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModelWithProjection(config)


def tiny_t5_encoder(tokenizer: T5TokenizerFast) -> T5EncoderModel:
    """One T5 layer as wide as the joint text (2 x 12)."""
    width = 2 * TEXT_WIDTH
    return T5EncoderModel(
        T5Config(vocab_size=len(tokenizer), d_model=width, d_kv=width // 2, d_ff=width, num_layers=1, num_heads=2)
    )


def tiny_sd3_pipeline(dual: bool = True, seed: int = 0, layers: int = 4, t5: bool = False) -> StableDiffusion3Pipeline:
    """A whole SD3 (or with `dual` SD3.5-Medium) pipeline in eval mode, its weights a function of `seed`.

    Images of 32 x 32 pixels become latents of (16, 8, 8) and 16 visual tokens. Without `t5` there is no third encoder,
    and `max_sequence_length=0` is what it must be run with.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        clip = tiny_clip_tokenizer()
        long = tiny_t5_tokenizer() if t5 else None
        pipeline = StableDiffusion3Pipeline(
            transformer=tiny_transformer(dual, layers),
            scheduler=FlowMatchEulerDiscreteScheduler(shift=1.0),
            vae=tiny_vae(),
            text_encoder=tiny_text_encoder(clip),
            tokenizer=clip,
            text_encoder_2=tiny_text_encoder(clip),
            tokenizer_2=clip,
            text_encoder_3=None if long is None else tiny_t5_encoder(long),
            tokenizer_3=long,
        )
    return frozen(pipeline)


def frozen(pipeline: Any) -> Any:
    """The pipeline in eval mode, its weights without gradients, silent."""
    for component in pipeline.components.values():
        if isinstance(component, torch.nn.Module):
            component.eval().requires_grad_(False)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def saved_tiny_pipeline(
    folder: Path, dual: bool = True, seed: int = 0, layers: int = 4, t5: bool = False, shard_bytes: int | None = None
) -> Path:
    """Write the pipeline to `folder` (the transformer in shards when `shard_bytes` is given) and return it."""
    pipeline = tiny_sd3_pipeline(dual, seed, layers, t5)
    pipeline.save_pretrained(folder)
    if shard_bytes is not None:
        for file in (folder / "transformer").glob("*.safetensors"):
            file.unlink()
        pipeline.transformer.save_pretrained(folder / "transformer", max_shard_size=shard_bytes)
    return folder


def load_tiny_pipeline(folder: Path, t5: bool = False) -> StableDiffusion3Pipeline:
    """Read what `saved_tiny_pipeline` wrote; without T5 diffusers must be told so explicitly."""
    absent = {} if t5 else {"text_encoder_3": None, "tokenizer_3": None}
    pipeline = StableDiffusion3Pipeline.from_pretrained(folder, **absent)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
