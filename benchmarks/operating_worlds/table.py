"""The tables that the documentation holds, in Markdown, of all trials in a folder."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.operating_worlds import trials
from benchmarks.operating_worlds.policies import BETTER, EQUAL, MIXED, STEP
from benchmarks.operating_worlds.settings import FIRST, OWN_LOGS, SETTINGS, SHOWN
from benchmarks.operating_worlds.trials import Change, Trial
from tasks.evaluation.subjects import ALL

WANTED_COVERAGE: Final = (0.92, 0.99)
LARGE: Final = 0.1
"""A true change whose sign an estimate has to have."""
_REASONS: Final = 3


@dataclass(frozen=True)
class Wanted:
    """A share of promotions that is asked for: of which trials, and at least or at most how much.

    ``told`` counts what is held with the number of days that it lacks as well.
    """

    name: str
    of: Callable[[Trial], bool]
    least: float = 0.0
    most: float = 1.0
    told: bool = False


_HARMFUL: Final = Wanted("harmful", lambda trial: trial.harmful, most=0.02)
_GOOD: Final = Wanted("equal and better", lambda trial: trial.candidate in {EQUAL, BETTER}, least=0.85)
WANTED: Final = (
    _GOOD,
    _HARMFUL,
    Wanted("a true -5 %", lambda trial: trial.candidate.startswith(MIXED), most=0.08),
    Wanted("a fourth step of -2 %", lambda trial: trial.candidate.startswith(STEP), most=0.08),
)


_OF_SETTING: Final = {
    FIRST: (_GOOD, _HARMFUL),
    SHOWN: (Wanted("any", lambda _: True, most=0.0),),
    OWN_LOGS: (
        Wanted("better", lambda trial: trial.candidate == BETTER, least=0.85),
        Wanted("equal", lambda trial: trial.candidate == EQUAL, told=True),
        _HARMFUL,
    ),
}


def tables(folder: Path) -> Iterator[str]:
    """Yield the lines of every table: by size the promotions, then the coverage of all intervals."""
    sizes = {each.name: _read(each) for each in sorted(folder.iterdir()) if each.is_dir()}
    for size, judged in sizes.items():
        for setting in SETTINGS:
            yield from promotions(size, setting, [trial for trial in judged if trial.setting == setting])
    for size, judged in sizes.items():
        for setting, of in SETTINGS.items():
            yield from coverages(f"{size}, {of.title}", [one for one in judged if one.setting == setting])


def promotions(size: str, setting: str, judged: Sequence[Trial]) -> Iterator[str]:
    """Yield how often each release was promoted, what it truly changes, and why it was held."""
    if not judged:
        return
    yield f"**{size}, {SETTINGS[setting].title}** (requests a day x test days)"
    yield ""
    yield (
        "| release | worlds | promoted | by its replay alone | truly harmful | true primary | true hides "
        "| held for |"
    )
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for name in dict.fromkeys(trial.candidate for trial in judged):
        yield _row(name, [trial for trial in judged if trial.candidate == name])
    yield ""
    for wanted in _OF_SETTING.get(setting, WANTED):
        chosen = [trial for trial in judged if wanted.of(trial)]
        if chosen:
            yield _summary(wanted, chosen)
    yield ""


def coverages(size: str, judged: Sequence[Trial]) -> Iterator[str]:
    """Yield, by metric, the share of intervals that hold the truth, and of signs that are right."""
    by_metric: dict[str, list[Change]] = {}
    for trial in judged:
        for change in trial.changes:
            of = change.metric if change.segment == ALL else f"{change.metric} by segment"
            by_metric.setdefault(of, []).append(change)
    if not by_metric:
        return
    levels = _base_rates(judged)
    yield f"**{size}: intervals of a change**"
    yield ""
    yield "| metric | base rate | intervals | hold the truth | sign right above 10 % | mean error |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for metric, changes in by_metric.items():
        yield _coverage_row(metric, levels, changes)
    yield ""


def held_truth(changes: Sequence[Change]) -> tuple[int, float]:
    """Return how many intervals are known, and the share of them that hold the truth."""
    known = [one for one in changes if np.isfinite([one.low, one.high, one.true]).all()]
    held = sum(one.low <= one.true <= one.high for one in known)
    return len(known), held / len(known) if known else float("nan")


def right_signs(changes: Sequence[Change]) -> float:
    """Return the share of estimates with the sign of a true change above 10 %; NaN where there is none."""
    large = [one for one in changes if abs(one.true) > LARGE and np.isfinite(one.value)]
    return float(np.mean([one.value * one.true > 0 for one in large])) if large else float("nan")


def _read(folder: Path) -> list[Trial]:
    files = sorted(file for setting in SETTINGS for file in folder.glob(f"*/{setting}.json"))
    return [trial for file in files for trial in trials.read(file)]


def _row(name: str, judged: Sequence[Trial]) -> str:
    hides = [trial.rates.get("hide_7d", float("nan")) for trial in judged]
    cells = (
        name,
        str(len(judged)),
        _share([trial.promoted for trial in judged]),
        _share([trial.replay for trial in judged]),
        _share([trial.harmful for trial in judged]),
        f"{np.mean([trial.primary for trial in judged]):+.1%}",
        f"{np.mean(hides):+.1%}",
        _held_for(judged),
    )
    return f"| {' | '.join(cells)} |"


def _held_for(judged: Sequence[Trial]) -> str:
    """Name what held a release most often, with the number of worlds."""
    counted = Counter(
        subject for trial in judged for subject in {f"{r.gate} {r.subject}" for r in trial.reasons}
    )
    most = sorted(counted.items(), key=lambda one: (-one[1], one[0]))[:_REASONS]
    return "; ".join(f"{subject} {count}" for subject, count in most)


def _summary(wanted: Wanted, judged: Sequence[Trial]) -> str:
    asked = f"at least {wanted.least:.0%}" if wanted.least else f"at most {wanted.most:.0%}"
    of = len(judged)
    promoted = f"{sum(trial.promoted for trial in judged)} of {of}"
    if wanted.told:
        told = sum(trial.told for trial in judged)
        return f"- {wanted.name}: {promoted} promoted, {told} held with the number of days that they lack"
    alone = f"{sum(trial.replay for trial in judged)} of {of}"
    return f"- {wanted.name}: {promoted} promoted ({asked} wanted), {alone} by the replay alone"


def _coverage_row(metric: str, levels: Mapping[str, float], changes: Sequence[Change]) -> str:
    known, share = held_truth(changes)
    task = next((task for task in levels if task in metric), "")
    errors = [one.value - one.true for one in changes if np.isfinite([one.value, one.true]).all()]
    low, high = WANTED_COVERAGE
    mark = "" if not known or low <= share <= high else " (outside)"
    sign = right_signs(changes)
    cells = (
        metric,
        f"{levels[task]:.2g}" if task else "",
        str(known),
        f"{share:.3f}{mark}" if known else "",
        "" if np.isnan(sign) else f"{sign:.2f}",
        f"{np.mean(errors):+.1%}" if errors else "",
    )
    return f"| {' | '.join(cells)} |"


def _base_rates(judged: Sequence[Trial]) -> dict[str, float]:
    """Return each task's true rate under the baseline, the mean over worlds."""
    names = judged[0].levels if judged else ()
    return {name: float(np.mean([trial.levels[name] for trial in judged])) for name in names}


def _share(of: Sequence[bool]) -> str:
    return f"{np.mean(of):.2f}"
