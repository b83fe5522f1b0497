"""A proposed ``utility.yaml``: the surface's own file in which a few numbers are others.

::

    the file -> YAML nodes -> where version and weights stand in the text -> other numbers there

Everything else stays as people wrote it: comments, reasons, order and line ends.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import yaml

from tasks.contracts.yaml_file import read_yaml

_BOM = "\ufeff"


def proposed_text(file: Path, weights: Mapping[str, float], *, version: int, why: Sequence[str]) -> str:
    """Return the file's content with another version and other weights.

    Parameters
    ----------
    file : the surface's own ``utility.yaml``.
    weights : by term; those of contexts stay.
    why : lines of a comment at the top.
    """
    plain = read_yaml(file)
    text = file.read_bytes().decode("utf-8")
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    edits = [(_node(root, "version"), str(version)), *_weights(_node(root, "weights"), weights)]
    for node, number in sorted(edits, key=lambda edit: -edit[0].start_mark.index):
        text = text[: node.start_mark.index] + number + text[node.end_mark.index :]
    roles = ", ".join(plain["approvals"])
    head = [*why, f"Nobody has approved it. To approve it are: {roles}."]
    end = "\r\n" if "\r\n" in text else "\n"
    comment = "".join(f"# {line}{end}" for line in head)
    return _BOM * text.startswith(_BOM) + comment + text.removeprefix(_BOM)


def _weights(node: yaml.Node, weights: Mapping[str, float]) -> Iterator[tuple[yaml.Node, str]]:
    """Yield the node of each number that changes with the new number."""
    for term, weight in weights.items():
        own = _node(node, term)
        number = _node(own, "weight") if isinstance(own, yaml.MappingNode) else own
        if float(number.value) != weight:
            yield number, _number(weight)


def _node(mapping: yaml.Node | None, name: str) -> yaml.Node:
    values: dict[str, yaml.Node] = {key.value: value for key, value in mapping.value} if mapping else {}
    return values[name]


def _number(value: float) -> str:
    """Write a number that every YAML reader takes for one: without a point 1e-05 is a word to some.

    Examples
    --------
    >>> _number(36.44), _number(1e-05)
    ('36.44', '1.0e-05')
    """
    written = repr(float(value))
    return written if "." in written else written.replace("e", ".0e")
