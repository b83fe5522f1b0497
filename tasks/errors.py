"""Everything Equipoise raises on purpose, by whose move it is next.

::

    EquipoiseError
    ├── ContractError     the author of a YAML file (exit 2)
    │   └── UsageError        who typed a command (exit 2)
    ├── DataError         whoever delivers the log tables (exit 2)
    │   └── ImmatureLabels    nobody: wait until labels mature (exit 2)
    ├── GateRefused       a decision, not a crash (exit 1)
    └── StoreError        the operator of a store or service (exit 3)
        ├── AuditMismatch     whoever may roll back: trying again finds the same (exit 3)
        └── Overtaken         nobody: begin again on what the other writer left (exit 3)
"""

from collections.abc import Iterable
from difflib import get_close_matches


class EquipoiseError(Exception):
    """Root of the tree; its message is meant to be read by a person."""

    exit_code = 2


class ContractError(EquipoiseError):
    """A contract or a command asks for something that cannot be."""


class UsageError(ContractError):
    """A command was typed that does not exist, or not with these arguments."""


class DataError(EquipoiseError):
    """A log table or a store holds what the contract does not allow."""


class ImmatureLabels(DataError):
    """Too little mature history; time mends it."""


class GateRefused(EquipoiseError):
    """A release, a snapshot or a step was refused by a rule."""

    exit_code = 1


class StoreError(EquipoiseError):
    """A store or service failed or holds other bytes than were pinned."""

    exit_code = 3


class AuditMismatch(StoreError):
    """Audit, registry and aliases do not tell the same; a person has to say which of them is right."""


class Overtaken(StoreError):
    """Another writer was first, so nothing was written; trying again mends it."""


def unknown(kind: str, name: str, known: Iterable[str], where: str = "") -> str:
    """Say what was found, what is known and the nearest known name.

    Examples
    --------
    >>> unknown("task", "lkie", ["share", "like"], where="utility.yaml weights")
    "Unknown task 'lkie' in utility.yaml weights. Known: like, share. Did you mean 'like'?"
    """
    names = sorted(known)
    place = f" in {where}" if where else ""
    close = get_close_matches(name, names, n=1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    return f"Unknown {kind} '{name}'{place}. Known: {', '.join(names) or 'none'}.{hint}"


def list_names(names: Iterable[str], most: int = 12, *, separator: str = ", ") -> str:
    """List the first names, and count the rest.

    Examples
    --------
    >>> list_names(["a", "b"]), list_names(map(str, range(14)))
    ('a, b', '0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 2 more')
    >>> list_names(["click 1 -> 2", "hide -3 -> -4", "buy 5 -> 6"], 2, separator="; ")
    'click 1 -> 2; hide -3 -> -4 and 1 more'
    """
    every = list(names)
    more = len(every) - most
    return separator.join(every[:most]) + (f" and {more} more" if more > 0 else "")
