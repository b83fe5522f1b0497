"""The changes of a release compared with the champion, in at most six rows.

::

    data     labels as of 2026-02-12, 2 days newer         models   click_30m is new, 5 are the champion's
    tasks    tasks.yaml differs                            policy   click_30m 0.8 -> 1.6
    slate    the same                                      code     the same

For engineers: the worth of each outcome under the release's policies, and the largest changes of exposure.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from tasks.contracts import SlateSpec, UtilitySpec
from tasks.contracts.effective_policy import EffectivePolicy, default_unit, effective_policies
from tasks.contracts.metrics import MetricKind
from tasks.errors import ContractError, list_names
from tasks.evaluation.evidence import Measured
from tasks.evaluation.subjects import ALL
from tasks.release.description import weight_terms
from tasks.reports.numbers import format_counted
from tasks.reports.phrases import Vocabulary, describe_subject, name_subject, write_change, write_interval
from tasks.stores.manifest import Manifest, Role

POLICY_ROWS: Final = frozenset({"tasks", "policy", "slate"})
"""The rows that no gate can evaluate: whether another policy is better for users."""
_MOST_NAMED, _MOST_WEIGHTS = 4, 6


@dataclass(frozen=True)
class Change:
    """One row: a component, its description, and whether it differs from the champion's."""

    of: str
    words: str
    differs: bool


def list_changes(
    release: Manifest,
    champion: Manifest | None,
    utility: UtilitySpec,
    champion_utility: UtilitySpec | None,
) -> tuple[Change, ...]:
    """Return the components that differ from the champion's; empty without a champion."""
    if champion is None or champion_utility is None:
        return ()
    rows = [_data(release, champion), _models(release, champion)]
    if release.contracts.get("tasks") != champion.contracts.get("tasks"):
        rows.append(Change("tasks", "tasks.yaml differs: what an outcome means", differs=True))
    same_policy = release.contracts.get("utility") == champion.contracts.get("utility")
    policy = (
        Change("policy", "the same", differs=False) if same_policy else _policy(utility, champion_utility)
    )
    return (*rows, policy, _slate(release, champion), _code(release, champion))


def changed_weights(utility: UtilitySpec, champion: UtilitySpec) -> list[tuple[str, str, str]]:
    """Return each term with different weights: its name, the champion's weight and the release's weight."""
    before, after = _terms(champion), _terms(utility)
    names = [name for name in {**after, **before} if before.get(name) != after.get(name)]
    return [(name, before.get(name, "none"), after.get(name, "none")) for name in names]


def _terms(utility: UtilitySpec) -> dict[str, str]:
    return {term: weight for term, weight, _ in weight_terms(utility)}


def _data(release: Manifest, champion: Manifest) -> Change:
    days = (release.snapshot.as_of - champion.snapshot.as_of).days
    if release.snapshot.id == champion.snapshot.id:
        return Change("data", f"the same labels, as of {release.snapshot.as_of:%Y-%m-%d}", differs=False)
    age = f"{format_counted(abs(days), 'day')} {'newer' if days > 0 else 'older'}" if days else "other rows"
    return Change("data", f"labels as of {release.snapshot.as_of:%Y-%m-%d}, {age}", differs=True)


def _models(release: Manifest, champion: Manifest) -> Change:
    new = [task for task in release.tasks if _head(release, task) != _head(champion, task)]
    gone = [task for task in champion.tasks if task not in release.tasks]
    kept = len(release.tasks) - len(new)
    said = [f"{list_names(new, _MOST_NAMED)} {'is' if len(new) == 1 else 'are'} new"] if new else []
    said += [f"{list_names(gone, _MOST_NAMED)} {'is' if len(gone) == 1 else 'are'} gone"] if gone else []
    if not said:
        return Change("models", "all are the champion's", differs=False)
    said += [f"{kept} {'is' if kept == 1 else 'are'} the champion's"] if kept else []
    return Change("models", ", ".join(said), differs=True)


def _head(manifest: Manifest, task: str) -> list[str | None]:
    """Return the digests of a head's model and calibrator."""
    parts = (manifest.find(role, task) for role in (Role.TASK, Role.CALIBRATOR))
    return [None if part is None else part.sha256 for part in parts]


def _policy(utility: UtilitySpec, champion: UtilitySpec) -> Change:
    named = [f"{term} {before} -> {after}" for term, before, after in changed_weights(utility, champion)]
    if not named:
        return Change("policy", "utility.yaml differs, its weights are the same", differs=True)
    return Change("policy", list_names(named, _MOST_WEIGHTS, separator="; "), differs=True)


def _slate(release: Manifest, champion: Manifest) -> Change:
    same = release.contracts.get("slate") == champion.contracts.get("slate")
    return Change("slate", "the same" if same else "slate.yaml differs", differs=not same)


def _code(release: Manifest, champion: Manifest) -> Change:
    files, champion_files = _files(release.code), _files(champion.code)
    changed = sorted(
        name for name in {*files, *champion_files} if files.get(name) != champion_files.get(name)
    )
    if not changed:
        return Change("code", "the same", differs=False)
    return Change("code", f"the code that scores differs: {list_names(changed, _MOST_NAMED)}", differs=True)


def _files(code: Mapping[str, str]) -> dict[str, str]:
    """Return the digests by file, without the folder that is named after its content."""
    parts = {path: PurePosixPath(path).parts for path in code}
    return {"/".join(parts[path][2:] or parts[path]): digest for path, digest in code.items()}


_MOST_MOVERS: Final = 10
_EXPOSURE: Final = frozenset({MetricKind.SHARE, MetricKind.NEW_ITEM_EXPOSURE, MetricKind.LONG_TAIL_EXPOSURE})


@dataclass(frozen=True)
class Worths:
    """The effective policies of a release, base first; worth is measured in ``unit``."""

    name: str
    version: int
    unit: str
    policies: tuple[EffectivePolicy, ...]


@dataclass(frozen=True)
class ExposureChange:
    """A change of exposure: its metric, meaning and figures, as texts."""

    metric: str
    meaning: str
    before: str
    now: str
    change: str


def count_worths(utility: UtilitySpec, slate: SlateSpec) -> Worths | None:
    """Return the worth of each outcome in a common unit; None if no outcome can be the unit."""
    unit = default_unit(utility)
    try:
        policies = effective_policies(utility, slate, unit=unit)
    except ContractError:
        return None
    return Worths(utility.policy, utility.version, unit, tuple(policies))


def list_largest_changes(measured: Sequence[Measured]) -> list[Measured]:
    """Return the exposure shares that change most, in descending order."""
    shares = [
        one for one in measured if one.subject.metric in _EXPOSURE and one.segment == ALL and _moved(one) > 0
    ]
    return sorted(shares, key=_moved, reverse=True)[:_MOST_MOVERS]


def describe_largest_change(one: Measured, words: Vocabulary) -> ExposureChange:
    """Return a share of examined impressions under the baseline and under the release, as texts."""
    before, now = (
        "" if seen is None or math.isnan(seen.value) else write_interval(one.subject, seen, words)
        for seen in (one.baseline, one.policy)
    )
    meaning = describe_subject(one.subject, words)
    change = "" if one.relative is None else write_change(one.relative)
    return ExposureChange(name_subject(one.subject, words), meaning, before, now, change)


def _moved(one: Measured) -> float:
    if one.policy is None or one.baseline is None:
        return 0.0
    change = abs(one.policy.value - one.baseline.value)
    return change if math.isfinite(change) else 0.0
