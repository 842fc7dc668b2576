"""A reward of ms-swift: an ORM by name, registered in a file that `--external_plugins` names.

    # dina_swift.py                      --external_plugins dina_swift.py --reward_funcs dina
    from dina_lrm.integrations.swift import register

    register(draw="synthetic", prompt_column="caption")

ms-swift trains language models: its completions are texts. They are drawn, describe pictures of the data set, or name
pictures of a folder, as `texts.py` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from dina_lrm.integrations.text_settings import TextSettings
from dina_lrm.integrations.texts import Score, TextScores
from dina_lrm.typed import DinaError


def register(
    model: str = "synthetic",
    *,
    draw: str | None = None,
    caption_of: str | None = None,
    folder: str | Path | None = None,
    prompt_column: str | None = None,
    name: str = "dina",
    **more: Any,  # noqa: ANN401 - fields of TextSettings, which refuses others
) -> type:
    """Register an ORM under `name` and return its class; the arguments are those of `trl.text_reward`.

    ms-swift hands over no prompts: with `draw` and `folder`, `prompt_column` says what a picture is to show. A
    completion without a picture scores None, which ms-swift leaves out.

    Raises ValueError for settings that are none and for a name that is taken, and ImportError without ms-swift.
    """
    settings = TextSettings(model, draw, caption_of, folder, prompt_column, **more)
    if caption_of is None and prompt_column is None:
        raise DinaError("ms-swift: prompt_column is not given; accepted: a column of what the pictures are to show")
    rewards = import_module("swift.rewards")
    if name in rewards.orms:
        raise DinaError(f"ms-swift: a reward {name!r} is registered already; accepted: another name")
    scores = TextScores(settings)

    def call(self: object, completions: Sequence[object], **columns: object) -> list[Score]:
        return scores(None, completions, columns)

    # ms-swift shows the name of the class in its logs
    rewards.orms[name] = type(name, (rewards.ORM,), {"__call__": call, "__doc__": register.__doc__})
    found: type = rewards.orms[name]
    return found
