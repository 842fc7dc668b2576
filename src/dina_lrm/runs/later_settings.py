"""A run that began before a setting existed goes on: what its folder does not know is what was done without the word.

So a setting that comes new has to have, as its default, what was done before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any

from dina_lrm.typed import field_to_plain, is_tagged


def with_later_settings(stored: Mapping[str, Any], settings: Any) -> dict[str, Any]:  # noqa: ANN401 - any dataclass
    """Stored settings as plain values, and for those that they do not know the default, at any depth.

    `settings` are a dataclass of today: what it holds itself is not read, only which settings there are and where. Of
    one of several kinds (`typed.one_of`) nothing is added to what is stored, since another kind has other settings.
    """
    found = dict(stored)
    for each in fields(settings):
        if each.name not in stored:
            if each.default is not MISSING or each.default_factory is not MISSING:
                found[each.name] = _plain_default(each)
        elif not is_tagged(settings, each.name):
            found[each.name] = _filled(stored[each.name], getattr(settings, each.name))
    return found


def _filled(stored: Any, own: Any) -> Any:  # noqa: ANN401 - any JSON value, any setting
    """What is stored of one setting: a group of settings, a row of such groups, or a plain value, which it stays."""
    if is_dataclass(own) and isinstance(stored, Mapping):
        return with_later_settings(stored, own)
    if isinstance(own, tuple) and isinstance(stored, list) and len(own) == len(stored):
        return [_filled(there, each) for there, each in zip(stored, own, strict=True)]
    return stored


def _plain_default(field: Field[Any]) -> Any:  # noqa: ANN401 - any JSON value
    made = field.default if field.default_factory is MISSING else field.default_factory()
    return field_to_plain(field, made)
