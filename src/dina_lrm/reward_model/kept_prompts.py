"""The conditioning of prompts by their text, kept from one batch to the next up to so many bytes."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.backbones.prompt_rows import conditioning_bytes
from dina_lrm.reward_model.checks import checked_prompts
from dina_lrm.reward_model.inputs import AHEAD_BYTES, PromptTruncatedWarning, PromptUnreadWarning
from dina_lrm.reward_model.level_scores import scoring_mode
from dina_lrm.reward_model.model import LatentRewardModel


@dataclass(frozen=True)
class KeptPrompt:
    """One prompt encoded, and a sentence on what of it was cut off and on what could not be read, None for nothing."""

    conditioning: Conditioning
    cut: str | None
    unread: str | None


@final
class KeptPrompts:
    """Prompts as a reward model reads them; each is encoded once as long as it is kept.

    Those used longest ago go first where all take more than `most_bytes`; a batch that takes more by itself is whole
    nevertheless. Encoded `one_by_one`, a prompt's last bits do not depend on those that it is asked for with.
    """

    def __init__(self, model: LatentRewardModel, most_bytes: int, one_by_one: bool = False) -> None:
        self.model, self.most_bytes, self.bytes, self.one_by_one = model, most_bytes, 0, one_by_one
        self._kept: OrderedDict[str, KeptPrompt] = OrderedDict()
        self._expected: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def expect(self, prompts: Sequence[str]) -> None:
        """Prompts that will be asked for, in order: where text encoders do not stay in memory, they are encoded
        together with the first of them, as many as fit.
        """
        self._expected.update(dict.fromkeys(prompts))

    def take(self, prompts: Sequence[str]) -> list[KeptPrompt]:
        """Each of the prompts, in order. Raises ValueError as `LatentRewardModel.encode_prompts`."""
        new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._kept]
        for prompt in prompts:
            self._expected.pop(prompt, None)
        if new and not self.model.backbone.encoders_stay:
            self.most_bytes = max(self.most_bytes, AHEAD_BYTES)
            coming = [prompt for prompt in self._expected if prompt not in self._kept]
            new += coming[: max(0, self.model.backbone.prompts_in(self.most_bytes) - len(new))]
        if new:
            for prompt, row in zip(new, self._encoded(new), strict=True):
                self._kept[prompt] = row
                self.bytes += conditioning_bytes(row.conditioning)
        for prompt in prompts:
            self._kept.move_to_end(prompt)
        found = [self._kept[prompt] for prompt in prompts]
        while self.bytes > self.most_bytes:
            _, gone = self._kept.popitem(last=False)
            self.bytes -= conditioning_bytes(gone.conditioning)
        return found

    def _encoded(self, prompts: list[str]) -> list[KeptPrompt]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PromptTruncatedWarning)
            warnings.simplefilter("ignore", PromptUnreadWarning)
            encoded = self._one_by_one(prompts) if self.one_by_one else self.model.encode_prompts(prompts)
        cut = encoded.truncated or (None,) * len(prompts)
        unread = self.model.backbone.unread_prompts(prompts)
        rows = zip(range(len(prompts)), cut, unread, strict=True)
        return [KeptPrompt(encoded[row], *said) for row, *said in rows]

    def _one_by_one(self, prompts: list[str]) -> Conditioning:
        with scoring_mode(self.model, self.model.backbone):
            return self.model.backbone.encode_one_by_one(checked_prompts("encode_prompts", prompts, may_be_empty=True))
