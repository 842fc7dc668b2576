"""Clean latents by protocol "1": one safetensors blob, one level, prompts with every item.

POST BASE/v1/score    latents, prompt_embeds, pooled_prompt_embeds, u, seeds
200                   {"protocol_version": "1", "raw_scores": [...]}
"""

from __future__ import annotations

from typing import Any, Final

import torch
from safetensors.torch import save

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.rewards.remote.answers import BYTES_A_SCORE, checked_scores, read_answer
from dina_lrm.rewards.remote.client import BYTES, RemoteClient
from dina_lrm.rewards.remote.questions import LatentQuestion, plain
from dina_lrm.typed import DinaError

VERSION: Final = "1"
HEADERS: Final = {"content-type": "application/octet-stream", "x-drm-protocol-version": VERSION}
_LEVEL: Final = 0.4


def score(client: RemoteClient, base: str, question: LatentQuestion) -> list[float]:
    """Raw scores of clean latents.

    Raises:
        ValueError: for what the protocol has no place for.
        RemoteRewardError: no answer, a refusal, or an answer that is none.
    """
    count = len(question)
    body = save({name: plain(tensor) for name, tensor in _tensors(client.name, question).items()})
    answer = client.ask("POST", f"{base}/v1/score", body, HEADERS, BYTES + BYTES_A_SCORE * count)
    values = read_answer(client.name, answer, VERSION)
    return checked_scores(client.name, "raw_scores", values.get("raw_scores"), count)


def _tensors(name: str, question: LatentQuestion) -> dict[str, Any]:
    count, rows = len(question), [row for row in question.prompts.rows if isinstance(row, Conditioning)]
    refused = {
        "texts": len(rows) < len(question.prompts.rows),
        f"noise levels {question.levels}": len(question.levels) > 1,
        "noisy states": question.state == "noisy",
        "z-scores": question.kind == "z",
    }
    for what in (what for what, given in refused.items() if given):
        raise DinaError(f"{name}: {what}; accepted by a server that speaks protocol 1 alone: clean latents, one level")
    told = Conditioning.cat([rows[row] for row in question.prompts.of_item])
    if told.pooled_prompt_embeds is None:
        raise DinaError(f"{name}: protocol 1 needs pooled prompt embeddings, and this generator has none")
    return {
        "latents": question.latents,
        "prompt_embeds": told.prompt_embeds,
        "pooled_prompt_embeds": told.pooled_prompt_embeds,
        "u": torch.full((count,), question.levels[0] if question.levels else _LEVEL, dtype=torch.float32),
        "seeds": torch.tensor(question.seeds, dtype=torch.int64),
    }
