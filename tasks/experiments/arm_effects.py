"""Effect of an experiment's treatment on ratio metrics, with users as units.

::

    level     R = sum of y / sum of x                      y, x  sums of one user; R of one arm
    error     variance of (y - R x) / mean x, by users     delta method: users are sampled, not requests
    history   (y - R x) / mean x regressed on (y0 - R0 x0, x0, no history), both arms together       CUPED
    effect    R1 / R0 - 1, interval on the log scale by Student's t with Welch's degrees of freedom
    novelty   slope of the log effect by days since the user's first exposure

y0 and x0 are a user's sums before the experiment. If impressions of returning users were treated as
independent, an A/A test would be positive twice as often as allowed (``python -m
benchmarks.experiment_readouts``).

References
----------
Deng, Xu, Kohavi and Walker (2013), "Improving the Sensitivity of Online Controlled Experiments by Utilizing
Pre-Experiment Data"; Deng, Knoblich and Lu (2018), "Applying the Delta Method in Metric Analytics".
"""

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Final

import numpy as np
from pydantic import ConfigDict
from scipy.special import stdtr, stdtrit

from tasks.arrays import Flags, Floats, Indices
from tasks.evaluation.documents import CLOSED, MaybeFloat
from tasks.evaluation.resampling import LEAST_CLUSTERS, LEAST_POSITIVES, effective_number
from tasks.evaluation.verdicts import Estimate

_NOVEL: Final = 1.959964
"""Critical value of a slope at 5 %, in standard errors."""


@dataclass(frozen=True)
class ArmUsers:
    """Sums of a metric by user for two arms.

    Attributes
    ----------
    treated : [users] whether the user is in the treatment.
    numerator, denominator : [users] sums in the experiment.
    before : [users] both sums before the experiment, 0 for a user without history; None without a pre-period.
    """

    treated: Flags
    numerator: Floats
    denominator: Floats
    before: tuple[Floats, Floats] | None = None

    def select(self, rows: Flags) -> "ArmUsers":
        """Return some of the users."""
        before = None if self.before is None else (self.before[0][rows], self.before[1][rows])
        return ArmUsers(self.treated[rows], self.numerator[rows], self.denominator[rows], before)

    @property
    def covariates(self) -> Floats:
        """Covariates of the history [users, k], without constant columns."""
        if self.before is None or not (total := float(self.before[1].sum())):
            return np.zeros((len(self.treated), 0))
        past, shown = self.before
        columns = np.column_stack([past - float(past.sum()) / total * shown, shown, shown == 0])
        return np.asarray(columns[:, np.ptp(columns, axis=0) > 0], dtype=np.float64)


@dataclass(frozen=True)
class ArmEffect:
    """Relative effect of a treatment on one metric.

    Attributes
    ----------
    control, treatment : the arms' levels, adjusted for history.
    log_change, log_error, freedom : ln(treatment / control), its standard error and degrees of freedom; NaN
        if data are too few or a level is not positive.
    explained : share of the variance explained by the history.
    users, events : number of users of each arm, and the smaller number of users with an event.
    """

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED

    control: MaybeFloat
    treatment: MaybeFloat
    log_change: MaybeFloat
    log_error: MaybeFloat
    freedom: MaybeFloat
    explained: MaybeFloat
    users: tuple[int, int]
    events: int

    @property
    def known(self) -> bool:
        """Whether the effect has an interval."""
        return math.isfinite(self.log_change) and math.isfinite(self.log_error)

    def interval(self, level: float = 0.95) -> Estimate:
        """Return the relative effect with its two-sided interval.

        Examples
        --------
        >>> effect = ArmEffect(1.0, 1.1, math.log(1.1), 0.05, math.inf, 0.0, (90, 90), 50)
        >>> [round(end, 3) for end in (effect.interval().low, effect.interval(0.9).low)]
        [-0.003, 0.013]
        """
        return self.within(float(stdtrit(self.freedom, (1 + level) / 2)) * self.log_error)

    def within(self, half: float) -> Estimate:
        """Return the relative effect with a given half-width on the log scale."""
        value, low, high = (math.expm1(self.log_change + way * half) for way in (0, -1, 1))
        return Estimate(value, low, high, sum(self.users))

    def p_value_beyond(self, bound: float, *, rise: bool) -> float:
        """Return the one-sided p-value of no change beyond ``bound``: at most, or at least if not ``rise``.

        Examples
        --------
        >>> effect = ArmEffect(1.0, 1.2, math.log(1.2), 0.05, math.inf, 0.0, (90, 90), 50)
        >>> [round(effect.p_value_beyond(end, rise=end > 0), 3) for end in (0.1, -0.1)]
        [0.041, 1.0]
        """
        if not self.known:
            return 1.0
        excess = (self.log_change - math.log1p(bound)) * (1.0 if rise else -1.0)
        return float(stdtr(self.freedom, -excess / self.log_error)) if self.log_error else float(excess <= 0)


def arm_effect(users: ArmUsers) -> ArmEffect:
    """Return the relative effect of the treatment.

    There is no interval below `LEAST_CLUSTERS` effective users or `LEAST_POSITIVES` users with an event.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> treated, shown = np.arange(4000) % 2 == 1, rng.poisson(9, 4000) + 1.0
    >>> clicks = rng.binomial(shown.astype(int), np.where(treated, 0.33, 0.3)).astype(float)
    >>> effect = arm_effect(ArmUsers(treated, clicks, shown))
    >>> round(effect.control, 2), effect.interval().low < 0.1 < effect.interval().high
    (0.3, True)
    """
    arms = (~users.treated, users.treated)
    sizes = (int(arms[0].sum()), int(arms[1].sum()))
    events = min(int(np.count_nonzero(users.numerator[arm])) for arm in arms)
    unknown = ArmEffect(*(math.nan,) * 6, users=sizes, events=events)
    if min(float(users.denominator[arm].sum()) for arm in arms) <= 0:
        return unknown
    moved = _explain(users)
    levels, variances, plain = zip(*(_level(users, arm, moved) for arm in arms), strict=True)
    control, treatment = levels
    seen = replace(unknown, control=control, treatment=treatment)
    shown = [users.denominator[arm] for arm in arms]
    enough = min(effective_number(x.sum(), (x**2).sum()) for x in shown) >= LEAST_CLUSTERS
    if not enough or events < LEAST_POSITIVES or min(levels) <= 0:
        return seen
    parts = [variance / level**2 for variance, level in zip(variances, levels, strict=True)]
    error = math.sqrt(sum(parts))
    of_each = sum(part**2 / (size - 1) for part, size in zip(parts, sizes, strict=True))
    return replace(
        seen,
        log_change=math.log(treatment / control),
        log_error=error,
        freedom=sum(parts) ** 2 / of_each if of_each else math.inf,
        explained=1 - sum(variances) / sum(plain) if sum(plain) else 0.0,
    )


def level_change(users: ArmUsers) -> tuple[float, Floats]:
    """Return treatment - control of the levels, and each user's contribution to its error [users].

    The sum over users of products of two metrics' contributions is the covariance of their changes.

    Examples
    --------
    >>> users = ArmUsers(np.arange(4) > 1, np.array([0.0, 1.0, 1.0, 3.0]), np.ones(4))
    >>> level_change(users)
    (1.5, array([ 0.25, -0.25, -0.5 ,  0.5 ]))
    """
    moved, parts, change = _explain(users), np.zeros(len(users.treated)), 0.0
    for arm, sign in ((users.treated, 1.0), (~users.treated, -1.0)):
        y, x = users.numerator[arm], users.denominator[arm]
        left = _linearise(y, x) - moved[arm]
        change += sign * float(y.sum() / x.sum() - moved[arm].mean())
        parts[arm] = sign * (left - left.mean()) / len(y)
    return change, parts


def _explain(users: ArmUsers) -> Floats:
    """Return the part of each user's deviation that the history explains [users]."""
    values, covariates = _linearise(users.numerator, users.denominator), users.covariates
    centred = covariates - covariates.mean(axis=0)
    theta = np.linalg.lstsq(centred, values - values.mean(), rcond=None)[0]
    return np.asarray(centred @ theta)


def _level(users: ArmUsers, arm: Flags, moved: Floats) -> tuple[float, float, float]:
    """Return an arm's adjusted level, its variance, and the variance without history."""
    y, x, by_history = users.numerator[arm], users.denominator[arm], moved[arm]
    level, size = float(y.sum() / x.sum()), len(y)
    deviation = _linearise(y, x)
    parts = (deviation - by_history, deviation)
    left, plain = (float(((part - part.mean()) ** 2).sum()) / max(size - 1, 1) / size for part in parts)
    return level - float(by_history.mean()), left, plain


def _linearise(numerator: Floats, denominator: Floats) -> Floats:
    """Return each user's contribution to the deviation of a ratio, times the number of users."""
    level = numerator.sum() / denominator.sum()
    return np.asarray((numerator - level * denominator) / denominator.mean())


def log_influence(numerator: Floats, denominator: Floats) -> Floats:
    """Return each row's contribution to the deviation of the logarithm of a ratio of sums [n].

    Examples
    --------
    >>> log_influence(np.array([1.0, 0.0]), np.ones(2)).tolist()
    [0.5, -0.5]
    """
    total, level = denominator.sum(), numerator.sum() / denominator.sum()
    return np.asarray((numerator - level * denominator) / (level * total))


@dataclass(frozen=True)
class Novelty:
    """Slope of the log effect by day since first exposure, and its user-clustered standard error."""

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED

    slope: MaybeFloat
    error: MaybeFloat

    @property
    def present(self) -> bool:
        """Whether the slope differs significantly from 0 at 5 %."""
        return abs(self.slope) > _NOVEL * self.error

    @property
    def daily_change(self) -> float:
        """Relative change of the effect by one day."""
        return math.expm1(self.slope)


def novelty_slope(
    users: Indices, ages: Indices, treated: Flags, numerator: Floats, denominator: Floats
) -> Novelty | None:
    """Return the slope of the effect by age; None with fewer than two ages with events in both arms.

    Ages are weighted by the inverse of their variance. The error is clustered by user.

    Parameters
    ----------
    users, ages : [n] codes of users, and days since the user's first exposure.
    treated : [n] whether the user is in the treatment.
    numerator, denominator : [n] sums of a metric by user and age.

    Examples
    --------
    >>> rng, users = np.random.default_rng(0), np.repeat(np.arange(2000), 8)
    >>> ages = np.tile(np.arange(8), 2000)
    >>> treated, rate = users % 2 == 1, np.where(users % 2 == 1, 0.6 - 0.03 * ages, 0.3)
    >>> clicks, shown = rng.binomial(3, rate).astype(float), np.full(16000, 3.0)
    >>> slope = novelty_slope(users, ages, treated, clicks, shown)
    >>> slope.present, slope.slope < 0
    (True, True)
    """
    count = int(users.max(initial=-1)) + 1
    known, effects, influences = [], [], []
    for age in np.unique(ages):
        here = ages == age
        arms = [here & treated, here & ~treated]
        if min(np.count_nonzero(numerator[arm]) for arm in arms) < LEAST_POSITIVES:
            continue
        levels, of_users = [], np.zeros(count)
        for arm, sign in zip(arms, (1.0, -1.0), strict=True):
            y, x = numerator[arm], denominator[arm]
            levels.append(y.sum() / x.sum())
            of_users += sign * np.bincount(users[arm], log_influence(y, x), count)
        if min(levels) > 0:
            known.append(float(age))
            effects.append(math.log(levels[0] / levels[1]))
            influences.append(of_users)
    if len(known) < 2:
        return None
    by_user = np.column_stack(influences)
    weights = 1 / (by_user**2).sum(axis=0)
    away = np.array(known) - np.average(known, weights=weights)
    share = weights * away / (weights * away**2).sum()
    return Novelty(float(share @ effects), math.sqrt(float(((by_user @ share) ** 2).sum())))
