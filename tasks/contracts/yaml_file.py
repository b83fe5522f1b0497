"""Strict reading of a contract file as plain YAML data.

Refused with file and line: duplicate keys, tags, aliases and anchors (which prevents alias bombs),
documents other than a mapping, several documents, and input that `tasks.text_files` refuses.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from tasks.errors import ContractError
from tasks.text_files import LARGEST, decode_text, read_regular_file

_BOOLEAN = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
_INTEGER = re.compile(r"^[-+]?(?:0|[1-9]\d*)$")
_FLOAT = re.compile(
    r"^[-+]?(?:\d+\.\d*|\.\d+)(?:[eE][-+]?\d+)?$|^[-+]?\d+[eE][-+]?\d+$|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$"
)
_UNWANTED = {f"tag:yaml.org,2002:{kind}" for kind in ("bool", "int", "float", "timestamp", "merge", "value")}


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader without aliases, explicit tags, duplicate keys and the surprising types of YAML 1.1."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]  # PyYAML has no annotations here
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise yaml.constructor.ConstructorError(
                None, None, "anchors and aliases are not allowed", event.start_mark
            )
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise yaml.constructor.ConstructorError(
                None, None, f"the tag {tag} is not allowed", event.start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - PyYAML's
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is not text; put it in quotes", key_node.start_mark
                )
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key}' appears twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


# ``on: item`` is a contract key, so on, off, yes and no are words; dates, octal and base 60 stay text.
_StrictLoader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in resolvers if tag not in _UNWANTED]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_StrictLoader.add_implicit_resolver("tag:yaml.org,2002:bool", _BOOLEAN, list("tTfF"))
_StrictLoader.add_implicit_resolver("tag:yaml.org,2002:int", _INTEGER, list("-+0123456789"))
_StrictLoader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))


def read_yaml(path: Path) -> dict[str, Any]:
    """Read one contract file as plain data."""
    return parse_yaml(read_regular_file(path), path.name)


def parse_yaml(raw: bytes, name: str) -> dict[str, Any]:
    """Parse the bytes of one contract file; raises as `read_yaml`, naming the file."""
    if len(raw) > LARGEST:
        raise ContractError(f"{name}: is larger than {LARGEST:,} bytes, the most that is read")
    text = decode_text(raw, name)
    try:
        data = yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a SafeLoader made stricter
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f" line {mark.line + 1}" if mark else ""
        raise ContractError(f"{name}{line}: {error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ContractError(f"{name}: not readable YAML ({str(error).splitlines()[0]})") from error
    if not isinstance(data, dict):
        raise ContractError(f"{name}: expected a mapping of fields, found {type(data).__name__}")
    return data
