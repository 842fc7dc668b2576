"""The recipe `own` among those of a command: it is made from the generator that the words name.

Its options then have that generator's values, and what is given beside them wins, as with every recipe.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Annotated, Any, Final, TypeVar

import tyro

from dina_lrm.console.common import CommonArguments, UserError
from dina_lrm.locate import absolute
from dina_lrm.typed import DinaError

Options = TypeVar("Options", bound=CommonArguments)
OWN: Final = "own"
_HELP: Final = ("-h", "--help")


@dataclasses.dataclass(frozen=True)
class Choice:
    """A recipe of a command: its settings, and one line of help."""

    settings: Any
    help: str


def value_of(words: Sequence[str], option: str) -> str | None:
    """What the words give for an option, the last time that they do; None where they do not."""
    found = None
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == option and following:
            found = following
        elif word.startswith(f"{option}="):
            found = word.partition("=")[2]
    return found


def with_own(
    options: type[Options],
    words: Sequence[str],
    generator: str,
    choices: Callable[[], Mapping[str, Choice]],
    make: Callable[[Callable[[str], str | None]], Any],
) -> tuple[type[Options], list[str]]:
    """The options and the words as they are meant, where the option `generator` is given without a recipe, or with own.

    `make` says what settings the recipe own then has; elsewhere both stay as they are. Raises ValueError for a
    generator that cannot be read, and where there is neither a recipe nor a generator, but not where help is asked for.
    """
    recipe = words[0] if words and not words[0].startswith("-") else None
    if recipe is None and value_of(words, "--config") is not None:  # the file says which
        return options, list(words)
    if value_of(words, generator) is None or recipe not in (None, OWN):
        if recipe is None and not _names_one(words, known := choices()):
            told = f"{generator} FOLDER (a generator of your own), or a recipe: {', '.join(known)}"
            raise UserError(f"which run? accepted: {told}")
        return options, list(words)
    meant = [*([] if recipe else [OWN]), *words]
    try:
        made = make(partial(value_of, words))
    except DinaError:
        if any(word in _HELP for word in words):
            return options, meant
        raise
    found, meant = choices(), _with_whole_paths(meant, generator)
    return with_choices(options, {**found, OWN: Choice(made, found[OWN].help)}), meant


def _names_one(words: Sequence[str], known: Mapping[str, Choice]) -> bool:
    """Whether help is asked for, or a recipe stands behind options, where it is no value of the one before it."""
    named = any(word in known and not before.startswith("-") for before, word in pairwise(words))
    return named or any(word in _HELP for word in words)


def _with_whole_paths(words: Sequence[str], option: str) -> list[str]:
    """The words with the option's folders by their whole paths: what is trained remembers its generator so."""
    told = []
    for before, word in zip(["", *words], words, strict=False):
        name, equals, value = word.partition("=")
        joined = f"{name}={absolute(value)}" if equals and name == option else word
        told.append(absolute(word) if before == option else joined)
    return told


def with_choices(options: type[Options], choices: Mapping[str, Choice]) -> type[Options]:
    """The same options with other recipes to choose from."""
    kinds = recipe_type(choices)
    recipes = {name: _constant(choice.settings) for name, choice in choices.items()}
    made = dataclasses.make_dataclass(
        options.__name__,
        [("recipe", Annotated[kinds, tyro.conf.arg(name="")])],
        bases=(options,),
        namespace={
            "__doc__": options.__doc__,
            "__module__": options.__module__,
            "recipes": classmethod(lambda cls: recipes),
        },
    )
    return tyro.conf.configure(tyro.conf.CascadeSubcommandArgs)(made)  # which a class does not inherit


def recipe_type(choices: Mapping[str, Choice]) -> Any:  # noqa: ANN401 - a type for tyro
    """A subcommand for each recipe."""
    return tyro.extras.subcommand_type_from_defaults(
        {name: choice.settings for name, choice in choices.items()},
        {name: choice.help for name, choice in choices.items()},
        prefix_names=False,
    )


def _constant(value: Any) -> Callable[[], Any]:  # noqa: ANN401 - settings of any command
    return lambda: value
