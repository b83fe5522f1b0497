"""Reads the log of a ramp: examined impressions and events so far, by user, day and release.

::

    impressions since the ramp began   labelled as if every window had passed: 1 if the event has arrived
    -> by user, day, stage, release    impressions, events, the first and the last instant
    -> treated: the ramping release       control: the champion    other registered releases are left out
    -> only users of the ramp's pool; users of other pools that the release served are counted

Events that have not arrived are missing equally in both arms of a day, so a ratio stratified by day does not
have to wait for labels to mature. A day on which the ramp advanced counts as two.

Users are assigned to the arms of a ramp by a hash, which is the same in every process and language.

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
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import numpy as np
import pandas as pd
from sqlglot import exp

from tasks import columns as c
from tasks.arrays import Flags, Indices
from tasks.contracts.gates import UserPool
from tasks.errors import DataError, list_names
from tasks.experiments.always_valid import LogRatio, Stage, first_alarm, log_e_values, stratified_log_ratio
from tasks.labels import show
from tasks.labels.compile import query_provisional
from tasks.logs.session import open_log
from tasks.logs.tables import LogTables
from tasks.sql import expressions as x
from tasks.stores.aliases import CHAMPION
from tasks.stores.audit import LiveRamp, live_ramps
from tasks.stores.workspace import Workspace, format_instant

RETURNED_MAX: Final = 0.01
"""Maximum share of treated users who meet the champion again, for example on a second device."""
SILENCE: Final = timedelta(days=1)
"""Maximum time between the last impressions of both arms."""

_USER_DAYS = """
    SELECT $user AS "user", $day AS "day", $stage AS "stage", $release AS "release", $counts,
           epoch_us(min($at)) / 1e6 AS "first", epoch_us(max($at)) / 1e6 AS "last"
    FROM ($labels) WHERE $taking_part GROUP BY ALL ORDER BY ALL
"""


@dataclass(frozen=True)
class RampLog:
    """Rows of both arms.

    Parameters
    ----------
    rows : sums by user, day, stage and release: impressions and events of each task.
    treated : [n] whether the ramping release served the row.
    shares : declared share of users of the release, by stage.
    strangers : number of users of other pools that it served.
    as_of : instant up to which data were read.
    """

    rows: pd.DataFrame
    treated: Flags
    shares: tuple[float, ...]
    as_of: datetime
    strangers: int = 0

    def ratio(self, task: str, *, stage: int | None = None) -> LogRatio:
        """Return the log ratio of the arms' rates of a task, for one stage or all of them."""
        inside = np.ones(len(self.rows), dtype=np.bool_) if stage is None else self.rows["stage"] == stage
        rows, treated = self.rows[inside], self.treated[np.asarray(inside)]
        days = rows["day"].astype(str) + "/" + rows["stage"].astype(str)
        seen, events = (rows[name].to_numpy(np.float64) for name in (_seen(task), _events(task)))
        return stratified_log_ratio(_codes(rows["user"]), _codes(days), treated, seen, events)

    def interference(self, task: str) -> float:
        """Return z of the newest stage's log ratio against the stage before; NaN without events of both.

        If users of one arm affect the other arm, for example through shared items or budgets, the effect
        depends on the share. Users of both stages correlate the ratios, so |z| is biased towards 0.
        """
        stages = (len(self.shares) - 2, len(self.shares) - 1)
        if len(self.shares) < len(stages):
            return math.nan
        before, now = (self.ratio(task, stage=stage) for stage in stages)
        if not (before.enough_events and now.enough_events):
            return math.nan
        return (now.estimate - before.estimate) / math.hypot(now.error, before.error)

    def problems(self, *, waited: timedelta) -> list[str]:
        """Return sentences on why the arms cannot be compared.

        Parameters
        ----------
        waited : duration of the current stage.
        """
        found = [self._silent(waited), self._returned(), self._in_other_pools(), self._other_shares()]
        return [problem for problem in found if problem]

    def _silent(self, waited: timedelta) -> str:
        """Describe an arm that stopped logging, or never started."""
        ends = {
            name: self.rows["last"][of].max() if of.any() else None
            for name, of in (("the treatment", self.treated), ("the control", ~self.treated))
        }
        newest = max((end for end in ends.values() if end is not None), default=None)
        for name, end in ends.items():
            if end is None and waited >= SILENCE:
                return f"No impression of {name} is logged since the ramp began. Check the traffic split"
            if end is not None and newest is not None and newest - end > SILENCE.total_seconds():
                at = format_instant(datetime.fromtimestamp(end, self.as_of.tzinfo))
                return f"No impression of {name} is logged since {at}. Check the traffic split"
        return ""

    def _returned(self) -> str:
        """Describe users who met the champion after the release, which a nested assignment rules out."""
        if not self.treated.any():
            return ""
        users = _codes(self.rows["user"])
        began, ended = np.full(users.max() + 1, np.inf), np.full(users.max() + 1, -np.inf)
        np.minimum.at(began, users[self.treated], self.rows["first"].to_numpy()[self.treated])
        np.maximum.at(ended, users[~self.treated], self.rows["last"].to_numpy()[~self.treated])
        treated, returned = int(np.isfinite(began).sum()), int((ended > began).sum())
        if returned <= RETURNED_MAX * treated:
            return ""
        return (
            f"{returned:,} of {treated:,} treated users got the champion afterwards. Assign traffic by user, "
            "as `equipoise assign` does"
        )

    def _in_other_pools(self) -> str:
        """Describe users outside the release's pool whom it served."""
        treated = self.rows["user"][self.treated].nunique()
        if self.strangers <= RETURNED_MAX * treated:
            return ""
        return (
            f"{self.strangers:,} users of other pools met the release, and {treated:,} of its own. Share "
            "traffic by pool, as `equipoise assign` does"
        )

    def _other_shares(self) -> str:
        """Describe a sample ratio that differs from the declared shares.

        A user who was in the control at a smaller share is treated with the probability
        (share - smaller) / (1 - smaller), because places do not change. One who was treated is not counted
        again.
        """
        rows = self.rows.assign(treated=self.treated).sort_values("first", kind="stable")
        firsts = rows.drop_duplicates(["user", "stage"])
        of_user, share = firsts.groupby("user", sort=False), np.array(self.shares)[firsts["stage"]]
        smaller = of_user["stage"].shift().map(dict(enumerate(self.shares))).fillna(0.0)
        firsts = firsts.assign(chance=(share - smaller) / (1 - smaller))
        drawn = firsts[~of_user["treated"].shift(fill_value=False) & (firsts["chance"] > 0)]
        log_e = np.zeros(len(self.shares))
        counted = drawn.groupby(["stage", "chance"])["treated"].agg(["sum", "size"]).reset_index()
        for stage, chance, some, users in counted.itertuples(index=False):
            counts = np.array([[some, users - some]], dtype=np.float64)
            log_e[stage] += log_e_values([Stage(counts, np.array([chance, 1 - chance]))])[-1]
        if first_alarm(np.cumsum(log_e)) is None:
            return ""
        arms = firsts.groupby("stage")["treated"]
        seen = ", ".join(
            f"{some:,} of {users:,}" for some, users in zip(arms.sum(), arms.size(), strict=True)
        )
        declared = ", ".join(f"{share:g}" for share in self.shares)
        return f"The treated users of each stage ({seen}) are not the declared shares ({declared})"


def read_ramp_log(
    workspace: Workspace,
    ramp: LiveRamp,
    *,
    tasks: Sequence[str],
    as_of: datetime,
    known: Collection[int],
) -> RampLog:
    """Read the outcomes of both arms since a ramp began, as far as they have arrived.

    Parameters
    ----------
    ramp : the ramp, with the audit rows of its stages.
    tasks : binary tasks.
    known : registered releases.

    Raises
    ------
    DataError
        The log has no column of releases, or has a release that is not registered.
    """
    with open_log(workspace) as log:
        if c.RELEASE not in log.log.impressions:
            raise DataError(
                f"The impressions of {workspace.surface} have no column '{c.RELEASE}'. Log the release that "
                "served each impression: a ramp compares by it"
            )
        rows = _read_user_days(log, [m.at for m in ramp.stages if m.at], tasks=tasks, as_of=as_of)
    served = pd.to_numeric(rows["release"], errors="coerce")
    if strange := sorted({*rows["release"][~served.isin(known) & rows["release"].notna()].astype(str)}):
        raise DataError(
            f"The impressions name releases that are not registered: {list_names(strange)}. Registered: "
            f"{list_names(map(str, sorted(known)))}. Log the version that the served model returns"
        )
    newest, inside_arms = ramp.newest, np.ones(len(rows), dtype=np.bool_)
    if not ramp.pool.whole:
        users = rows["user"].astype(str)
        inside = {one for one in users.unique() if in_pool(ramp.pool, one, workspace.surface)}
        inside_arms = users.isin(inside).to_numpy()
    strangers = rows["user"][~inside_arms & (served == newest.release).to_numpy()].nunique()
    kept = served.isin([newest.release, newest.champion]).to_numpy() & inside_arms
    rows, served = rows[kept].reset_index(drop=True), served[kept]
    shares = tuple(move.share or 0.0 for move in ramp.stages)
    return RampLog(rows, (served == newest.release).to_numpy(), shares, as_of, strangers)


def _read_user_days(
    log: LogTables, began: Sequence[datetime], *, tasks: Sequence[str], as_of: datetime
) -> pd.DataFrame:
    """Label the impressions since an instant with the events so far, and sum them."""
    spec = show.keep_chain(log.contracts.tasks, *tasks)
    days = pd.date_range(began[0].date(), max(began[0], as_of).date(), freq="D").date
    query = query_provisional(log, spec, days, as_of=as_of)
    at = x.column(c.SHOWN_AT)
    stages = [(x.ge(at.copy(), x.instant(one)), x.integer(n)) for n, one in reversed([*enumerate(began)])]
    taking_part = [x.ge(at.copy(), x.instant(began[0])), x.not_null(x.column(c.USER_ID))]
    if c.VISIBLE in log.log.impressions:
        taking_part.append(x.column(c.VISIBLE))
    counts: list[exp.Expr] = []
    for task in tasks:
        counts.append(x.alias(exp.Count(this=x.column(task)), _seen(task)))
        counts.append(x.alias(x.coalesce(exp.Sum(this=x.column(task)), x.integer(0)), _events(task)))
    statement = x.fill(
        _USER_DAYS,
        user=x.column(c.USER_ID),
        day=x.column(c.DAY),
        stage=x.case(stages, x.integer(0)),
        release=x.column(c.RELEASE),
        at=at,
        counts=counts,
        labels=query.labels(),
        taking_part=x.all_of(*taking_part),
    )
    return log.connection.sql(statement).df()


def _codes(values: pd.Series) -> Indices:
    return pd.factorize(values)[0].astype(np.int64)


def _seen(task: str) -> str:
    return f"{task}__seen"


def _events(task: str) -> str:
    return f"{task}__events"


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
        inside = in_pool(self.pool, user, surface)
        return place_of(user, surface=surface, release=self.release) if inside else None


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
