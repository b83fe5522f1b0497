"""What somebody does next, by the worst verdict of a release."""

from typing import Final

from tasks.evaluation.verdicts import Outcome, Verdict
from tasks.replay.compared import BIASED
from tasks.replay.metrics import REORDERING

_BLOCKED: Final = {
    "data": "Mend the log, build the labels again and retrain: what was learned from them cannot be trusted.",
    "model": "Look at what the task learned from, and whether its data changed; then retrain.",
    "inputs": "Mend the log of the feature, or retrain once its heads have learned from such days.",
    "calibration": "Look at the task's reliability, calibrate by the segment that is off, retrain.",
    "constraints": "Do not promote; no override lifts it. Mend the code that lets it through, then retrain.",
    "decision": "Do not promote. Look for other weights (equipoise tune), or keep {champion}.",
    "shadow": "Look at the requests side by side. If that much change is meant, raise gates.shadow.",
    "freshness": "Retrain: it rests on what people did too long ago.",
}
_SUPPORT: Final = (
    "It changes what is decided, and no gate can say whether that is better for people: name the online "
    "experiment that supports it, or say why there is none."
)
_LOG_CANDIDATES: Final = (
    "For a verdict offline, log every scored candidate (sources.candidates), or declare shown_is_all: true "
    "where every candidate was shown."
)
_LOG_PROPENSITIES: Final = (
    "For a verdict offline, log with each shown item the probability of its place (`propensity`), which a "
    "release that explores returns (`exploration` in slate.yaml)."
)
_LONGEST_TEST: Final = 365
"""Days of a test slice that somebody may be told to wait for."""
_TOO_FEW: Final = {
    "data": "Wait until more labels are mature, then retrain.",
    "model": "Wait until more labels are mature, then retrain.",
    "calibration": "Wait until more labels are mature, then retrain.",
    "shadow": "Wait for another day of traffic, then judge it again.",
}


def say_next(
    worst: Verdict | None,
    *,
    surface: str,
    release: int,
    held: bool,
    asks_support: bool = False,
    first: bool = False,
) -> str:
    """Say what to do next.

    Parameters
    ----------
    worst : the verdict that is listed first; None where nothing is doubtful.
    asks_support : the release changes tasks or policies, which no gate can judge.
    first : there is no champion yet that could be kept.

    Examples
    --------
    >>> say_next(None, surface="feed", release=3, held=False)
    'Put it before its reviewers: trigger feed__promote, or type equipoise promote feed 3 --why ...'
    """
    if not held:
        support = "--experiment ... " if asks_support else ""
        typed = f"equipoise promote {surface} {release} {support}--why ..."
        ask = f"Put it before its reviewers: trigger {surface}__promote, or type {typed}"
        return f"{_SUPPORT} {ask}" if asks_support else ask
    champion = "what serves now" if first else "the champion"
    if worst is None:
        return f"Keep {champion}, and retrain when there is something to judge by."
    if worst.outcome is Outcome.METRIC_MISSING:
        return f"Mend the log or the contract, so that it can be measured; keep {champion} meanwhile."
    if worst.outcome is not Outcome.INCONCLUSIVE:
        otherwise = "Look at what holds it, and keep {champion} meanwhile."
        return _BLOCKED.get(worst.gate, otherwise).format(champion=champion)
    if worst.gate in _TOO_FEW:
        return _TOO_FEW[worst.gate]
    otherwise = f"Keep {champion} meanwhile, or show it to a small share of people in an experiment."
    ramps = worst.doubt == REORDERING or worst.holds == "champion"
    then = _say_canary(worst, surface, release, first=first) if ramps else otherwise
    return f"{_LOG_CANDIDATES if worst.doubt == REORDERING else _wait(worst)} {then}"


def _say_canary(worst: Verdict, surface: str, release: int, *, first: bool) -> str:
    """Say how a release may be exposed where offline evidence does not decide."""
    if worst.holds != "champion" or first:
        return "Keep what serves now meanwhile."
    typed = f"equipoise promote {surface} {release} --stage canary --why ..."
    return f"Until then it may enter a ramp as the canary: type {typed}"


def say_after_override(surface: str) -> str:
    """Say what to do once a release was promoted though its gates hold it.

    Examples
    --------
    >>> say_after_override("feed")
    'It was promoted all the same. Watch what holds it; to go back, type equipoise rollback feed --why ...'
    """
    back = f"equipoise rollback {surface} --why ..."
    return f"It was promoted all the same. Watch what holds it; to go back, type {back}"


def _wait(worst: Verdict) -> str:
    if worst.doubt == BIASED:
        return _LOG_PROPENSITIES
    if worst.doubt:
        return "More days of this log cannot decide it: the reason beside it names what is missing."
    power = worst.power
    if power is not None and power.never:
        return (
            "No number of test days decides it at this traffic, since returning users bring ever less new "
            "information: widen its bound, or run an experiment."
        )
    if power is not None and power.days_needed is not None and power.days_needed > power.days:
        if power.days_needed > _LONGEST_TEST:
            return (
                "At this traffic more than a year of test days would be needed: widen its bound, or run an "
                "experiment."
            )
        return (
            f"Lengthen `split.test` from {power.days} to about {power.days_needed} days, which decide this "
            "bound in 80 % of cases."
        )
    return "These data cannot decide it, and more days of the same log may not either."
