"""YAML as this library reads and writes it: plain values, and nothing that surprises.

The words of YAML 1.2's core schema are read: `no` is a text, `1e-3` is a number, `2026-01-01` is a text. A key that
stands twice is an error. What is written is read back to equal values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import yaml

from dina_lrm.typed import DinaError

_WORDS: Final[tuple[tuple[str, str, list[str]], ...]] = (
    ("null", "~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", "true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+0123456789."),
    ),
)


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}  # those of YAML 1.1 are left

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key is no word", key.start_mark)
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} stands twice", key.start_mark)
            seen.add(key.value)
        return {str(key): value for key, value in super().construct_mapping(node, deep).items()}


class _Dumper(yaml.SafeDumper):
    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}  # those of YAML 1.1 are left

    def ignore_aliases(self, data: object) -> bool:
        return True

    def represent_sequence(self, tag: str, sequence: Any, flow_style: bool | None = None) -> yaml.SequenceNode:  # noqa: ANN401
        flat = not any(isinstance(one, dict | list) for one in sequence)
        return super().represent_sequence(tag, sequence, flow_style=flat)

    def represent_str(self, data: str) -> yaml.ScalarNode:
        # Only between double quotes nothing is folded: line ends of all kinds stay what they are
        return self.represent_scalar("tag:yaml.org,2002:str", data, None if data.isprintable() else '"')


_Dumper.add_representer(str, _Dumper.represent_str)


for _name, _pattern, _first in _WORDS:
    for _one in (_Loader, _Dumper):
        _one.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(f"(?:{_pattern})$"), _first)


def parse_yaml(text: str | bytes, where: str) -> Any:  # noqa: ANN401 - any plain value
    """The value of a YAML text; ValueError, beginning with `where`, naming line and column of what is none."""
    try:
        return yaml.load(text.decode("utf-8-sig") if isinstance(text, bytes) else text, _Loader)
    except UnicodeDecodeError as error:
        raise DinaError(f"{where}: not UTF-8 text ({error}); save it as UTF-8") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise DinaError(f"{where}: not YAML: {error.problem}{place}") from error
    except yaml.YAMLError as error:  # letters that no YAML text holds
        raise DinaError(f"{where}: not YAML: {' '.join(str(error).split())}") from error


def yaml_text(values: Mapping[str, Any]) -> str:
    """Plain values as YAML, in their order; a list of words or numbers stands in one line."""
    return str(yaml.dump(dict(values), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120))
