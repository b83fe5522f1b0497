"""Find the rules that a change of surface.yaml loosened after a release was made.

::

    rule        looser if
    a minimum   lower          a maximum or an age   higher          segments   fewer
    a baseline  changed: neither is stricter, so every change counts
    base rates  wider, or removed     reviewers             more
    approvals on the command line   by more users
    override    of more gates, or by another role
    ramp        fewer stages or guardrails, a larger share or harm, a shorter wait; any change of alpha, which
                loosens either the alarms or the advances
    shown_is_all    true: the impressions count as all candidates
"""

from collections.abc import Iterator
from math import inf
from typing import Final, get_args

from tasks.contracts.durations import format_duration
from tasks.contracts.gates import Gates, Overridable, Ramp, Rules

_SEVERITIES: Final = ("info", "warning", "critical")
_INCONCLUSIVE: Final = ("hold", "warn")
_SHOWN_ONLY: Final = ("hold", "canary")
_ON_COMMAND_LINE: Final = (False, "by_account", True)
_ACTIONS: Final = ("block", "warn")

Bound = tuple[str, float, object]
"""Place in surface.yaml, a number that grows as the rule gets looser, and the written value."""


def name_loosened(before: Rules, after: Rules) -> tuple[str, ...]:
    """Describe each rule that is looser than before, with both values.

    Examples
    --------
    >>> rules = {"base_rates": {"click": [0.1, 0.2]}, "reviewers": {"safety": ["sam"]}}
    >>> before = Rules.model_validate(rules)
    >>> fewer = Rules.model_validate(rules | {"data": {"rows": 10}, "shadow": {"score_shift_max": 0.1}})
    >>> name_loosened(before, fewer)
    ('gates.data.rows 10000 -> 10',)
    >>> name_loosened(fewer, before)
    ('gates.shadow.score_shift_max 0.1 -> 0.5',)
    >>> name_loosened(before, Rules.model_validate({"base_rates": {}, "reviewers": {"safety": ["eve"]}}))
    ('base_rates.click from 0.1 -> none', 'base_rates.click to 0.2 -> none', 'reviewers.safety none -> eve')
    """
    tasks = {*_tasks_of(before), *_tasks_of(after)}
    old = {place: (looseness, shown) for place, looseness, shown in _bounds(before, tasks)}
    new = {place: (looseness, shown) for place, looseness, shown in _bounds(after, tasks)}
    lost = [place for place in old if place not in new]
    looser = [place for place, (looseness, _) in new.items() if looseness > old.get(place, (inf, None))[0]]
    named = [
        f"{place} {old[place][1]} -> {new[place][1] if place in new else 'none'}" for place in looser + lost
    ]
    baselines = [rules.decision.model_dump(exclude={"shown_only"}) for rules in (before, after)]
    if baselines[0] != baselines[1]:
        named.append(f"gates.decision {baselines[0]} -> {baselines[1]}")
    roles = [rules.override.role for rules in (before, after) if rules.override]
    if len({*roles}) > 1:
        named.append(f"override.role {roles[0]} -> {roles[1]}")
    return (*named, *_name_reviewers(before, after))


def lasting_reviewers(before: Rules, after: Rules) -> dict[str, tuple[str, ...]]:
    """Return each role's current reviewers who were reviewers before as well.

    Reviewers added since are part of the requested change, so they may not approve it.

    Examples
    --------
    >>> before = Rules.model_validate({"base_rates": {}, "reviewers": {"safety": ["sam"]}})
    >>> after = before.model_copy(update={"reviewers": {"safety": ("sam", "eve"), "legal": ("kim",)}})
    >>> lasting_reviewers(before, after)
    {'safety': ('sam',), 'legal': ()}
    """
    return {
        role: tuple(user for user in users if user in before.reviewers.get(role, ()))
        for role, users in after.reviewers.items()
    }


def _tasks_of(gates: Gates) -> set[str]:
    return {*gates.model.refit_shift_max_by_task, *gates.freshness.parts}


def _name_reviewers(before: Rules, after: Rules) -> Iterator[str]:
    lasting = lasting_reviewers(before, after)
    for role, users in after.reviewers.items():
        for user in sorted({*users} - {*lasting[role]}):
            yield f"reviewers.{role} none -> {user}"


def _bounds(rules: Rules, tasks: set[str]) -> Iterator[Bound]:
    for place, looseness, shown in _gates(rules, tasks):
        yield f"gates.{place}", looseness, shown
    for task, (low, high) in rules.base_rates.items():
        yield f"base_rates.{task} from", -low, low
        yield f"base_rates.{task} to", high, high
    allowed = rules.approvals_on_command_line
    shown = str(allowed).lower()
    yield "promotion.approvals_on_command_line", _ON_COMMAND_LINE.index(allowed), shown
    yield from _ramp(rules.ramp)
    yield "shown_is_all", rules.shown_is_all, str(rules.shown_is_all).lower()
    lifted = rules.override.gates if rules.override else ()
    for gate in get_args(Overridable):
        yield f"override.gates {gate}", gate in lifted, "lifted" if gate in lifted else "held"


def _ramp(ramp: Ramp | None) -> Iterator[Bound]:
    if ramp is None:
        return
    for number, stage in enumerate(ramp.stages, start=1):
        yield f"ramp.stages {number} share", stage.share, stage.share
        yield f"ramp.stages {number} harm", stage.harm, stage.harm
    yield "ramp.pools", len(ramp.pools), len(ramp.pools)
    for name in ramp.guardrails:
        yield f"ramp.guardrails {name}", 0, "evaluated"
    least = ramp.wait.least
    yield "ramp.wait.least", -least.total_seconds(), format_duration(least)
    yield "ramp.alpha of an advance", ramp.alpha, ramp.alpha
    yield "ramp.alpha of an alarm", -ramp.alpha, ramp.alpha


def _gates(gates: Gates, tasks: set[str]) -> Iterator[Bound]:
    yield from _minima(gates)
    yield from _maxima(gates, tasks)
    yield "data.severity", _SEVERITIES.index(gates.data.severity), gates.data.severity
    action = gates.shadow.latency_action
    yield "shadow.latency_action", _ACTIONS.index(action), action
    shown_only = gates.decision.shown_only
    yield "decision.shown_only", _SHOWN_ONLY.index(shown_only), shown_only
    yield "inconclusive", _INCONCLUSIVE.index(gates.inconclusive), gates.inconclusive
    for segment in gates.calibration.by:
        yield f"calibration.by {segment}", 0, "evaluated"


def _minima(gates: Gates) -> Iterator[Bound]:
    for place, least in (
        ("data.rows", gates.data.rows),
        ("data.positives", gates.data.positives),
        ("model.first.auc_min", gates.model.first.auc_min),
        ("calibration.ratio from", gates.calibration.ratio[0]),
        ("shadow.overlap_at_k_min", gates.shadow.overlap_at_k_min),
    ):
        yield place, -least, least


def _maxima(gates: Gates, tasks: set[str]) -> Iterator[Bound]:
    model, freshness = gates.model, gates.freshness
    for place, most in (
        ("model.auc_drop_max", model.auc_drop_max),
        ("model.normalized_entropy_rise_max", model.normalized_entropy_rise_max),
        ("model.auc_max", model.auc_max),
        ("model.feature_auc_max", model.feature_auc_max),
        ("model.refit_shift_max", model.refit_shift_max),
        *(
            (f"model.refit_shift_max_by_task.{task}", model.refit_shift_max_of(task))
            for task in sorted(tasks)
        ),
        ("calibration.ratio to", gates.calibration.ratio[1]),
        ("shadow.score_shift_max", gates.shadow.score_shift_max),
        ("shadow.error_rate_max", gates.shadow.error_rate_max),
        ("shadow.latency_ratio_max", gates.shadow.latency_ratio_max),
    ):
        yield place, most, most
    ages = {f"freshness.parts.{task}": freshness.parts.get(task) for task in sorted(tasks)}
    for place, age in {"freshness.newest_training_row": freshness.newest_training_row, **ages}.items():
        oldest = age or freshness.newest_training_row
        yield place, oldest.total_seconds(), format_duration(oldest)
