"""Settings of a command in a file: `--config` reads what `--print-config` writes.

A file holds options by name: those of the command (`data`, `out`, ...) and those of its recipe, nested as their dotted
names are. Parts that options leave unnamed may be left out here too: `model.depth` is `model.backbone.depth`.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import tyro

from dina_lrm.console.common import CommonArguments, UserError
from dina_lrm.console.config import ConfigArguments, Settings, config_of
from dina_lrm.console.own_recipe import value_of
from dina_lrm.console.yaml_text import parse_yaml, yaml_text
from dina_lrm.rewards.addresses import without_passwords
from dina_lrm.runs.folder import CONFIG
from dina_lrm.runs.json_files import read_json
from dina_lrm.typed import from_plain, from_plain_value, is_tagged, require, unknown_key, updated

_RECIPE: Final = "recipe"
_NEEDED: Final = "(needed)"
"""Stands in the place of what a command needs and a file that is printed does not hold."""
_UNNAMED: Final = tyro.conf.arg(name="")
_JSON: Final = ".json"
_ENDINGS: Final = (_JSON, ".yaml", ".yml")


def beginning(options: type[ConfigArguments], words: Sequence[str]) -> tuple[list[str], ConfigArguments | None]:
    """The words without a recipe, and the arguments that they stand on: those of the recipe and of the file.

    Where the words name neither a recipe that there is nor a file there is nothing to stand on. Raises UserError for a
    file that cannot be read, naming the file, the key and the nearest accepted one.
    """
    recipes, file = options.recipes(), config_of(words)
    word = words[0] if recipes and words and not words[0].startswith("-") else None
    if (word is not None and word not in recipes) or (word is None and file is None):
        return list(words), None
    begun = _with_defaults(options, "--print-config" in words)
    if file is not None:
        _read_into(begun, file, word, partial(value_of, words))
    elif word is not None:
        setattr(begun, _RECIPE, recipes[word]())
    return list(words if word is None else words[1:]), begun


def config_text(arguments: ConfigArguments) -> str:
    """The arguments as YAML, which `--config` reads back to equal ones; passwords of rewards are left out."""
    needed = [f"# {name}: needed\n" for name in needed_of(arguments)]
    return "".join(needed) + yaml_text(config_values(arguments))


def config_values(arguments: ConfigArguments) -> dict[str, Any]:
    """The settings as plain values, after what the command was given besides."""
    own = {
        field.name: _plain(getattr(arguments, field.name))
        for field in _own_fields(type(arguments))
        if field.name not in needed_of(arguments) and getattr(arguments, field.name) != _default(field)
    }
    settings = getattr(arguments, _RECIPE).to_dict() if type(arguments).recipes() else {}
    found: dict[str, Any] = without_passwords({**own, **settings})
    return found


def needed_of(arguments: ConfigArguments) -> list[str]:
    """What the command needs, and was not given where it only prints."""
    return [field.name for field in _own_fields(type(arguments)) if str(getattr(arguments, field.name)) == _NEEDED]


def _plain(value: Any) -> Any:  # noqa: ANN401 - any option's value
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, Path) else value


def _with_defaults(options: type[ConfigArguments], printing: bool) -> ConfigArguments:
    """The arguments without any word: what a command needs is missing, or said to be, where it is only printed."""
    kind, hints = options, typing.get_type_hints(options)
    if options.recipes():  # the choice among them is made, and tyro takes seconds to compare a config with each
        chosen: Any = Annotated[type(next(iter(options.recipes().values()))()), _UNNAMED]
        kind = dataclasses.make_dataclass(options.__name__, [(_RECIPE, chosen)], bases=(options,))
    begun = object.__new__(kind)
    for field in dataclasses.fields(options):
        value = _default(field)
        if value is dataclasses.MISSING:
            value = hints[field.name](_NEEDED) if printing and hints[field.name] in (str, Path) else tyro.MISSING
        object.__setattr__(begun, field.name, value)
    return begun


def _default(field: dataclasses.Field[Any]) -> Any:  # noqa: ANN401 - any option's value
    made = field.default_factory
    return field.default if made is dataclasses.MISSING else made()


def _own_fields(options: type[ConfigArguments]) -> list[dataclasses.Field[Any]]:
    """What a file may say of the command itself: not how it is told, nor where the file is."""
    common = {field.name for kind in (CommonArguments, ConfigArguments) for field in dataclasses.fields(kind)}
    return [field for field in dataclasses.fields(options) if field.name not in {*common, _RECIPE}]


def _read_into(begun: ConfigArguments, file: str, word: str | None, given: Callable[[str], str | None]) -> None:
    """Put what a file says into the arguments that nothing was said of yet; `given` says what words give."""
    path = Path(file).expanduser()
    path = path / CONFIG if path.is_dir() else path
    recipes, own = type(begun).recipes(), [field.name for field in _own_fields(type(begun))]
    try:
        said = _table(path)
        if recipes:
            any_of_it = next(iter(recipes.values()))()
            kind = type(any_of_it)
            said = kind.stored_in(said)
            recipes = type(begun).recipes_for(lambda option: given(option) or _said_of(said, option))
            settings = {key: value for key, value in said.items() if key not in (*own, _RECIPE)}
            base = _base(recipes, kind, word or said.get(_RECIPE), settings, path.name == CONFIG)
            placed = _in_places(base or any_of_it, settings, [_RECIPE, *own])
            setattr(begun, _RECIPE, from_plain(kind, placed, "") if base is None else updated(base, placed))
            said = {key: value for key, value in said.items() if key in own}
        hints = typing.get_type_hints(type(begun))
        for key, value in said.items():
            if key not in own:
                raise UserError(unknown_key(key, key, own))
            setattr(begun, key, from_plain_value(hints[key], value, key))
    except ValueError as error:
        told = str(error)
        raise UserError(told if told.startswith(str(path)) else f"{path}: {told}") from error


def _said_of(said: Mapping[str, Any], option: str) -> str | None:
    """What a file says of an option, in whichever part that options leave unnamed; None where it says nothing."""
    found: Any = said
    for name in option.removeprefix("--").replace("-", "_").split("."):
        inside = found if isinstance(found, Mapping) else {}
        parts = [inside, *(part for part in inside.values() if isinstance(part, Mapping))]
        found = next((part[name] for part in parts if name in part), None)
    found = found[0] if isinstance(found, list) and found else found
    return None if found is None or isinstance(found, list | dict) else str(found)


def _table(path: Path) -> dict[str, Any]:
    """The plain values that a file holds."""
    if not path.is_file():
        raise UserError(f"{path}: there is no such file; accepted: a YAML or JSON file, or the folder of a run")
    if path.suffix.lower() not in _ENDINGS:
        raise UserError(f"{path}: ends in {path.suffix!r}; accepted: {', '.join(_ENDINGS)}")
    found = read_json(path) if path.suffix.lower() == _JSON else parse_yaml(path.read_bytes(), str(path))
    if not isinstance(found, dict):
        raise UserError(f"{path}: holds no table of settings; accepted: lines such as `steps: 100`")
    return found


def _base(
    recipes: Mapping[str, Callable[[], Settings]],
    kind: type[Settings],
    name: object,
    settings: Mapping[str, Any],
    of_a_run: bool,
) -> Settings | None:
    """The recipe that the settings of a file change; None where they are all there."""
    if name is None and len(recipes) == 1:  # a command that has settings and no choice of them
        return next(iter(recipes.values()))()
    if name is not None:
        require(isinstance(name, str) and name in recipes, _RECIPE, name, ", ".join(recipes))
        return recipes[str(name)]()
    missing = [field.name for field in dataclasses.fields(typing.cast(Any, kind)) if field.name not in settings]
    if missing and not of_a_run:
        few = ", ".join(missing[:5])
        raise UserError(
            f"names no recipe and leaves settings out ({few}{', ...' if len(missing) > 5 else ''}); accepted: a line "
            "`recipe: NAME`, a recipe before --config, or all settings, as --print-config writes them"
        )
    return None


def _in_places(settings: Any, values: Mapping[str, Any], also: Sequence[str] = (), place: str = "") -> dict[str, Any]:  # noqa: ANN401
    """The values of a file where the fields of the dataclass `settings` are.

    Raises UserError for a key that is none of them, nor one of `also`, with the nearest.
    """
    names, homes = [field.name for field in dataclasses.fields(settings)], _homes(settings)
    placed: dict[str, Any] = {}
    for key, value in values.items():
        dotted = f"{place}{key}"
        if key in names:
            here = {key: _inner(settings, key, value, dotted)}
        elif key in homes:
            here = {homes[key]: {key: value}}
        else:
            raise UserError(_unknown(settings, key, dotted, [*names, *homes, *also], place))
        for name, one in here.items():
            both = isinstance(one, dict) and isinstance(placed.get(name), dict)
            placed[name] = {**placed[name], **one} if both else one
    return placed


def _inner(settings: Any, key: str, value: Any, dotted: str) -> Any:  # noqa: ANN401 - any field's value
    own = getattr(settings, key)
    nested = dataclasses.is_dataclass(own) and isinstance(value, Mapping) and not is_tagged(settings, key)
    return _in_places(own, value, place=f"{dotted}.") if nested else value


def _homes(settings: Any) -> dict[str, str]:  # noqa: ANN401 - any dataclass
    """Fields of the parts that options leave unnamed, and the part of each."""
    hints = typing.get_type_hints(type(settings), include_extras=True)
    unnamed = [name for name, hint in hints.items() if any(_leaves_unnamed(one) for one in typing.get_args(hint)[1:])]
    return {field.name: part for part in unnamed for field in dataclasses.fields(getattr(settings, part))}


def _leaves_unnamed(note: object) -> bool:
    return isinstance(note, type(_UNNAMED)) and note == _UNNAMED


def _unknown(settings: Any, key: str, dotted: str, accepted: Sequence[str], place: str) -> str:  # noqa: ANN401
    """The message for a key that is none: one of that name may stand deeper."""
    deeper = [name for name in _dotted(settings, place) if name.rpartition(".")[2] == key]
    if not deeper:
        return unknown_key(dotted, key, accepted)
    return f"{dotted}: unknown key {key!r}; did you mean {' or '.join(deeper)}? accepted: {', '.join(accepted)}"


def _dotted(settings: Any, place: str) -> Iterator[str]:  # noqa: ANN401 - any dataclass
    """The dotted names of all settings, those of unnamed parts without the part."""
    unnamed = set(_homes(settings).values())
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value) and not is_tagged(settings, field.name):
            yield from _dotted(value, place if field.name in unnamed else f"{place}{field.name}.")
        else:
            yield f"{place}{field.name}"
