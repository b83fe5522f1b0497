"""Which arm of a ramp a user is in: a hash of the user, the same in every process and language.

::

    place = the first 53 bits of sha256("<surface>:<release>:<user>"), as a fraction
    treated where place < share

A user who is treated at 1 % is treated at 5 %, since the place does not change: nobody goes back. Ramps of
two surfaces, or of two releases, are independent, since both are part of what is hashed.
"""

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from tasks.stores.aliases import CANARY, CHAMPION
from tasks.stores.audit import live_canary
from tasks.stores.workspace import Workspace


class RampArm(StrEnum):
    """What serves a user: the release that ramps, or the champion."""

    TREATMENT = "treatment"
    CONTROL = "control"


@dataclass(frozen=True)
class UserAssignment:
    """The arm of a user and the release that serves it; ``place`` is None where no release ramps."""

    user: str
    place: float | None
    arm: RampArm
    release: int | None


@dataclass(frozen=True)
class AssignResult:
    """The arms of a surface now; ``share`` of the users are treated, 0 where no release ramps."""

    surface: str
    champion: int | None
    treatment: int | None
    share: float
    users: list[UserAssignment]


def place_of(user: str, *, surface: str, release: int) -> float:
    """Return the place of a user in [0, 1).

    Examples
    --------
    >>> round(place_of("u-17", surface="home_feed", release=7), 6)
    0.644258
    """
    digest = hashlib.sha256(f"{surface}:{release}:{user}".encode("utf-8", "surrogatepass")).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def assign(workspace: Workspace, users: list[str]) -> AssignResult:
    """Return which arm and release each user gets now.

    Raises
    ------
    AuditMismatch
        Audit and registry differ, so nobody knows what is meant to serve.
    """
    moves = workspace.aliases
    aliases, canary = moves.settle(), live_canary(moves.audit.entries())
    champion, treatment = aliases.get(CHAMPION), aliases.get(CANARY)
    share = canary.share or 0.0 if canary is not None else 0.0
    found = []
    for user in users:
        place = None if treatment is None else place_of(user, surface=workspace.surface, release=treatment)
        treated = place is not None and place < share
        arm = RampArm.TREATMENT if treated else RampArm.CONTROL
        found.append(UserAssignment(user, place, arm, treatment if treated else champion))
    return AssignResult(workspace.surface, champion, treatment, share, found)
