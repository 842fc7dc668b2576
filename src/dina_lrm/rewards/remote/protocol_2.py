"""Latents of any family by protocol "2": prompts sent once and named by hash from then on.

A hash that the server is not known to have is asked for first (HEAD), and what is not there is sent (PUT). A server
that forgot some answers 409 with their names: they are sent again. One that cannot keep them gets them in the blob.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from typing import Any, Final

import torch
from safetensors.torch import save
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.backbones.prompt_rows import conditioning_bytes, prompt_blob, prompt_hash
from dina_lrm.reward_model.checks import LargeLatentsWarning
from dina_lrm.reward_model.inputs import PromptTruncatedWarning
from dina_lrm.rewards.addresses import printable
from dina_lrm.rewards.remote.answers import checked_scores, read_answer, short
from dina_lrm.rewards.remote.client import BYTES, RemoteClient
from dina_lrm.rewards.remote.connections import Answer
from dina_lrm.rewards.remote.errors import RemoteRewardError, RemoteRewardWarning
from dina_lrm.rewards.remote.questions import LatentQuestion, plain
from dina_lrm.rewards.remote.service import Service

VERSION: Final = "2"
HEADERS: Final = {"content-type": "application/octet-stream", "x-drm-protocol-version": VERSION}
BYTES_AN_ITEM: Final = 2048
"""Of an answer: a score, a seed and what was noticed."""
_TIMES: Final = 3
_KEPT: Final = (200, 201)
_KINDS: Final[Mapping[str, type[UserWarning]]] = {
    "prompt_truncated": PromptTruncatedWarning,
    "large_latents": LargeLatentsWarning,
}
"""What the server warns of as a reward of this process does."""


def score(client: RemoteClient, service: Service, question: LatentQuestion) -> list[float]:
    """Scores of latents, in as many requests as the server's limits want.

    Raises:
        RemoteRewardError: no answer, a refusal, or an answer that is none; its `code` is "unknown_protocol" where the
            server does not speak it after all.
    """
    found = []
    rows = [row for row in question.prompts.rows if isinstance(row, Conditioning)]
    for part in question.parts(service.most_items, service.most_bytes, 128):
        scores = _by_hash(client, service, part) if rows else _by_text(client, service, part)
        if scores is None:
            widest = max(map(conditioning_bytes, rows))
            for smaller in part.parts(service.most_items, service.most_bytes, widest):
                found += _inline(client, service, smaller)
        else:
            found += scores
    return found


def _by_text(client: RemoteClient, service: Service, question: LatentQuestion) -> list[float]:
    return _posted(client, service, question, {"texts": question.prompts.rows}, {})


def _by_hash(client: RemoteClient, service: Service, question: LatentQuestion) -> list[float] | None:
    """Scores, or None where the server cannot keep the prompts."""
    told = [_plain_row(row) for row in question.prompts.rows]
    names = [*map(prompt_hash, told)]
    rows = dict(zip(names, told, strict=True))
    for _ in range(_TIMES):
        if not _sent(client, service, rows):
            return None
        try:
            return _posted(client, service, question, {"prompts": names}, {})
        except RemoteRewardError as error:
            if error.code != "unknown_prompts":
                raise
            client.known.forget(_named(client.name, error, rows))
    return None


def _inline(client: RemoteClient, service: Service, question: LatentQuestion) -> list[float]:
    told = Conditioning.cat([_plain_row(row) for row in question.prompts.rows])
    given = {
        "prompt_embeds": told.prompt_embeds,
        "pooled_prompt_embeds": told.pooled_prompt_embeds,
        "prompt_mask": told.prompt_mask,
    }
    return _posted(client, service, question, {}, {name: found for name, found in given.items() if found is not None})


def _sent(client: RemoteClient, service: Service, rows: Mapping[str, Conditioning]) -> bool:
    """Whether the server has all these prompts, after those that it had not were sent."""
    known = client.known
    if not known.missing(rows):
        return True
    with known.sending:
        for name in known.missing(rows):
            path = f"{service.base}/v1/prompts/{name}"
            if client.ask("HEAD", path, accepted=(200, 404)).status == 404:
                body = save(prompt_blob(rows[name]))
                if client.ask("PUT", path, body, HEADERS, accepted=(*_KEPT, 507)).status not in _KEPT:
                    return False
                client.count_prompt()
            known.add(name)
    return True


def _posted(
    client: RemoteClient,
    service: Service,
    question: LatentQuestion,
    prompts: Mapping[str, Any],
    inline: Mapping[str, Tensor],
) -> list[float]:
    header = {"model": service.model, "score": [question.kind], "state": question.state, **prompts}
    if question.own:
        header["own"] = True
    tensors = {
        "latents": question.latents,
        "prompt": torch.tensor(question.prompts.of_item, dtype=torch.int64),
        "seeds": torch.tensor(question.seeds, dtype=torch.int64),
        "u": question.level_tensor,
        **inline,
    }
    blob = {name: plain(tensor) for name, tensor in tensors.items() if tensor is not None}
    body = save(blob, {"drm": json.dumps(header)})
    most = BYTES + BYTES_AN_ITEM * len(question)
    answer = client.ask("POST", f"{service.base}/v1/score", body, HEADERS, most)
    return read_scores(client, service, answer, question.kind, len(question))


def read_scores(client: RemoteClient, service: Service, answer: Answer, kind: str, count: int) -> list[float]:
    """The scores of one model in an answer of protocol 2, after its warnings were given on.

    Raises:
        RemoteRewardError: for an item without a score, with the server's reason, and for any other body.
    """
    values = read_answer(client.name, answer, VERSION)
    results = values.get("results")
    found = results.get(service.model) if isinstance(results, dict) else None
    if not isinstance(found, dict):
        raise RemoteRewardError(f"{client.name}: results are {short(results)}; accepted: those of {service.model!r}")
    _refuse_errors(client.name, found)
    _check_revision(client.name, service.revision, found.get("revision"))
    scores = found.get("scores")
    chosen = scores.get(kind) if isinstance(scores, dict) else None
    _warn(client.name, values.get("warnings"))
    return checked_scores(client.name, f"scores.{kind}", chosen, count)


def _refuse_errors(name: str, found: dict[str, Any]) -> None:
    errors = found.get("errors")
    bad = {"": found["error"]} if "error" in found else errors if isinstance(errors, dict) else {}
    for item, error in bad.items():
        told = error if isinstance(error, dict) else {}
        where = f"item {printable(item, 20)}: " if item else ""
        reason = f"{printable(str(told.get('code')), 80)}: {printable(str(told.get('message')), 500)}"
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        raise RemoteRewardError(f"{name}: {where}{reason}{more}", code=str(told.get("code")))


def _check_revision(name: str, known: str | None, told: object) -> None:
    if known is not None and isinstance(told, str) and told not in ("", known):
        said = f"the server's model is {printable(told, 80)} now, and was {printable(known, 80)} at first"
        warnings.warn(f"{name}: {said}: later scores are those of another model", RemoteRewardWarning, stacklevel=2)


def _warn(name: str, noticed: object) -> None:
    """Give on what the server noticed, each sentence once."""
    rows = [row for row in noticed if isinstance(row, dict)] if isinstance(noticed, list) else []
    for code, message in dict.fromkeys((str(row.get("code")), str(row.get("message"))) for row in rows):
        kind = _KINDS.get(code, RemoteRewardWarning)
        warnings.warn(f"{name}: {printable(code, 80)}: {printable(message)}", kind, stacklevel=2)


def _named(name: str, error: RemoteRewardError, rows: Mapping[str, Conditioning]) -> list[str]:
    """The hashes that a 409 names."""
    hashes = error.details.get("hashes")
    known = [each for each in hashes if each in rows] if isinstance(hashes, list) else []
    if not known:
        raise RemoteRewardError(f"{name}: unknown prompts {short(hashes)}; accepted: hashes that were asked for")
    return known


def _plain_row(row: object) -> Conditioning:
    assert isinstance(row, Conditioning)
    pooled, mask = row.pooled_prompt_embeds, row.prompt_mask
    return Conditioning(
        plain(row.prompt_embeds), None if pooled is None else plain(pooled), None if mask is None else plain(mask)
    )
