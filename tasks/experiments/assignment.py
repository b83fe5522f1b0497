"""Assigns users to the arms of a ramp by a hash, which is the same in every process and language.

::

    place in all users = the first 53 bits of sha256("<surface>:pool:<user>"), as a fraction
    ramps in the pool      pool.low <= place in all users < pool.high
    place in the pool  = the same of sha256("<surface>:<release>:<user>")
    treated                place in the pool < share

A user who is treated at 1 % is also treated at 5 %, because places do not change, so no user returns to the
champion. Ramps of two surfaces, or of two successive releases in a pool, are independent, because surface and
release are part of the hash. Two releases that ramp at once have disjoint pools: no user is in both ramps,
and each release is compared with the champion in its own pool.
"""

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from tasks.contracts.gates import UserPool
from tasks.stores.aliases import CHAMPION
from tasks.stores.audit import LiveRamp, live_ramps
from tasks.stores.workspace import Workspace


class RampArm(StrEnum):
    """Source of a user's results: the ramping release, or the champion."""

    TREATMENT = "treatment"
    CONTROL = "control"


@dataclass(frozen=True)
class UserAssignment:
    """The arm of a user and the release that serves it.

    ``place`` is the place in the user's pool, None if no release ramps in it.
    """

    user: str
    place: float | None
    arm: RampArm
    release: int | None


@dataclass(frozen=True)
class RampShare:
    """A release that ramps, and its share of the users of its pool."""

    release: int
    share: float
    pool: UserPool

    @classmethod
    def of(cls, ramp: LiveRamp) -> "RampShare":
        """Return the share set by a ramp's newest row."""
        return cls(ramp.newest.release, ramp.newest.share or 0.0, ramp.pool)

    def place_of(self, user: str, *, surface: str) -> float | None:
        """Return the place of a user in the pool, in [0, 1); None for a user of another pool."""
        return (
            place_of(user, surface=surface, release=self.release)
            if in_pool(self.pool, user, surface)
            else None
        )


@dataclass(frozen=True)
class AssignResult:
    """The current arms of a surface: the champion, and each release that ramps."""

    surface: str
    champion: int | None
    ramps: list[RampShare]
    users: list[UserAssignment]


def place_of(user: str, *, surface: str, release: int) -> float:
    """Return the place of a user in [0, 1).

    Examples
    --------
    >>> round(place_of("u-17", surface="home_feed", release=7), 6)
    0.644258
    """
    return _fraction(f"{surface}:{release}:{user}")


def in_pool(pool: UserPool, user: str, surface: str) -> bool:
    """Whether a user is in a pool, by the place among all users.

    Examples
    --------
    >>> halves = UserPool(1, 0.0, 0.5), UserPool(2, 0.5, 1.0)
    >>> [in_pool(pool, "u-17", "home_feed") for pool in halves]
    [True, False]
    """
    return pool.whole or pool.low <= _fraction(f"{surface}:pool:{user}") < pool.high


def _fraction(key: str) -> float:
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def assign(workspace: Workspace, users: list[str]) -> AssignResult:
    """Return the current arm and release of each user.

    Raises
    ------
    AuditMismatch
        Audit and registry differ, so the serving releases are unknown.
    """
    moves = workspace.aliases
    champion = moves.settle().get(CHAMPION)
    ramps = [RampShare.of(one) for one in live_ramps(moves.audit.entries()).values()]
    found = []
    for user in users:
        places = [(one, one.place_of(user, surface=workspace.surface)) for one in ramps]
        ramp, place = next(((one, at) for one, at in places if at is not None), (None, None))
        if ramp is not None and place is not None and place < ramp.share:
            found.append(UserAssignment(user, place, RampArm.TREATMENT, ramp.release))
        else:
            found.append(UserAssignment(user, place, RampArm.CONTROL, champion))
    return AssignResult(workspace.surface, champion, ramps, found)
