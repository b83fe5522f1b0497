"""The rules of the suites in one table, from which the Great Expectations classes are created.

``findings.Rule`` documents the columns.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from difflib import get_close_matches
from functools import partial
from typing import Any

import pandas as pd

from tasks import columns as c
from tasks.contracts import load
from tasks.reports.numbers import format_counted
from tasks.validation import label_measurements as of_labels
from tasks.validation import measurements as m
from tasks.validation.day_rules import (
    check_missing_days,
    check_missing_negatives,
    check_silences,
    check_values,
    compare_distributions,
    compare_kept_shares,
    compare_shares,
    compare_volumes,
)
from tasks.validation.findings import Rule, RuleResult
from tasks.validation.measurements import Measurement
from tasks.validation.trailing import Comparison

_CLOSE, _MOST_NAMES = 0.8, 200
_LEAST_EQUAL, _DAY_SHARE = 20, 0.2
_LEAST_CANDIDATES = 100
_STRETCH, _WORST = 14, 3


def count_broken_rows(
    frame: pd.DataFrame, *, statistic: str, max_share: float = 0, unless: str = ""
) -> RuleResult:
    """Find the subjects of which more than a maximum share of the rows breaks a rule.

    A statistic that is measured by day must keep the share over all days and in every stretch of two weeks.
    The three worst days of a stretch do not count, so that a late or lost day is not taken for a change.
    """
    by_subject: dict[str, list[Measurement]] = {}
    for one in m.measured(frame, statistic):
        by_subject.setdefault(one.subject, []).append(one)
    if not by_subject:
        return RuleResult([], [] if unless else [("table", "was not measured")], unless)
    totals = [_total(days) for days in by_subject.values()]
    broken = []
    for one, days in zip(totals, by_subject.values(), strict=True):
        if one.rows > max_share * one.of:
            broken.append((one.subject, _format_count(one)))
        elif (stretch := _find_lasting(days, max_share)) is not None:
            when = f"in the {_STRETCH} days to {stretch.day}"
            broken.append((one.subject, f"{_format_count(stretch)} {when}, without the {_WORST} worst"))
    rows, of = sum(one.rows for one in totals), max(one.of for one in totals)
    return RuleResult([one.subject for one in totals], broken, f"{rows:,} of {of:,} rows")


def _total(days: Sequence[Measurement]) -> Measurement:
    """Add up the rows of days, with the first day's examples and the last day's date."""
    examples = next((day.examples for day in days if day.examples), "")
    rows, of = sum(day.rows for day in days), sum(day.of for day in days)
    return days[-1]._replace(rows=rows, of=of, examples=examples)


def _find_lasting(days: Sequence[Measurement], max_share: float) -> Measurement | None:
    """Return the stretch of days with the largest share above the maximum without its worst days."""
    above = []
    for end in range(_STRETCH, len(days) + 1):
        stretch = days[end - _STRETCH : end]
        worst = sorted(stretch, key=lambda day: day.rows / max(day.of, 1))[-_WORST:]
        rest = _total([day for day in stretch if day not in worst])._replace(day=stretch[-1].day)
        if rest.rows > max_share * rest.of:
            above.append(rest)
    return max(above, key=lambda rest: rest.rows / rest.of, default=None)


def check_equal_events(frame: pd.DataFrame, *, events: Collection[str], max_share: float) -> RuleResult:
    """Find events with more than a maximum share of duplicates over all days, or a fifth on one day."""
    by_name: dict[str, list[Measurement]] = {name: [] for name in events}
    for one in m.measured(frame, m.EQUAL):
        if one.subject in by_name:
            by_name[one.subject].append(one)
    broken, counted = [], 0
    for name, days in by_name.items():
        equal, of = sum(day.rows for day in days), sum(day.of for day in days)
        counted += equal
        whole = any(day.rows >= _LEAST_EQUAL and day.rows >= _DAY_SHARE * day.of for day in days)
        if equal > max_share * of or whole:
            one = Measurement(m.EQUAL, name, rows=equal, of=of, examples=days[0].examples)
            broken.append((name, f"{_format_count(one)} equal another"))
    return RuleResult(sorted(events), broken, f"{counted:,} events equal another")


def check_candidates_shown(frame: pd.DataFrame) -> RuleResult:
    """Report if `shown` is true for every candidate, on all days or on one with at least a hundred rows."""
    days = m.measured(frame, m.SHOWN)
    rows, of = sum(day.rows for day in days), sum(day.of for day in days)
    odd = [day for day in days if day.rows == day.of and (rows == of or day.of >= _LEAST_CANDIDATES)]
    broken = [(c.SHOWN, f"shown is true of all {day.of:,} candidates of {day.day}") for day in odd]
    if of and not rows:
        broken = [(c.SHOWN, f"shown is true of none of {of:,} candidates")]
    return RuleResult([c.SHOWN], broken, f"{rows:,} of {of:,} candidates")


def check_columns_by_day(frame: pd.DataFrame, *, statistic: str, max_share: float) -> RuleResult:
    """Find columns in which too many candidates break a rule, on all days or on one."""
    broken, names = [], []
    for name, days in frame[frame["statistic"] == statistic].groupby("subject"):
        names.append(str(name))
        odd = days[(days["of"] >= _LEAST_CANDIDATES) & (days["rows"] > max_share * days["of"])]
        if len(odd) or days["rows"].sum() > max_share * days["of"].sum():
            odd = odd if len(odd) else days
            rows, of = int(odd["rows"].sum()), int(odd["of"].sum())
            one = Measurement(statistic, str(name), rows=rows, of=of, examples=odd["examples"].max())
            when = f"{format_counted(len(odd), 'day')}, the last {odd['day'].max()}"
            broken.append((one.subject, f"{_format_count(one)} on {when}"))
    return RuleResult(names, broken, "in no column" if names else "there is no shown candidate")


def check_constraints_drop(frame: pd.DataFrame) -> RuleResult:
    """Find hard constraints that drop no row because the column that they read is constant."""
    kept: dict[str, tuple[int, int]] = {}
    for one in m.measured(frame, m.KEPT):
        rows, of = kept.get(one.subject, (0, 0))
        kept[one.subject] = rows + one.rows, of + one.of
    broken = [(name, f"{name}: keeps all {of:,} rows") for name, (rows, of) in kept.items() if rows == of]
    return RuleResult(list(kept), broken, "each drops some")


def check_rows(frame: pd.DataFrame) -> RuleResult:
    """Report a table without rows."""
    rows = sum(one.rows for one in m.measured(frame, m.ROWS))
    return _evaluate_table("no row" if not rows else "", f"{rows:,} rows")


def check_columns(frame: pd.DataFrame, *, columns: Mapping[str, Sequence[str]]) -> RuleResult:
    """Find missing columns, and columns whose type the contracts do not allow."""
    types = {one.subject: one.value for one in m.measured(frame, m.COLUMN)}
    broken = []
    for name, allowed in columns.items():
        if name not in types:
            broken.append((name, f"{name} is missing"))
        elif types[name] not in allowed:
            broken.append((name, f"{name} is {types[name]}, allowed {', '.join(allowed)}"))
    return RuleResult(list(columns), broken, f"{len(columns)} columns")


def check_freshness(frame: pd.DataFrame, *, as_of: str, within: float) -> RuleResult:
    """Report a table whose newest row is more than the given number of seconds older than the as-of."""
    instants = m.measured(frame, m.NEWEST)
    if not instants:
        return _evaluate_table("no row", "")
    newest, allowed = datetime.fromisoformat(instants[0].value), timedelta(seconds=within)
    age = datetime.fromisoformat(as_of) - newest
    observed = f"the newest is of {newest:%Y-%m-%d %H:%M}, {_format_length(age)} before the as-of"
    return _evaluate_table(
        f"{observed}; allowed {_format_length(allowed)}" if age > allowed else "", observed
    )


def check_nulls(frame: pd.DataFrame, *, columns: Sequence[str]) -> RuleResult:
    """Find columns that contain nulls."""
    counts = m.measured(frame, m.NULLS)
    broken = []
    for name in columns:
        rows, of = (sum(getattr(one, n) for one in counts if one.subject == name) for n in ("rows", "of"))
        if rows or not of:
            broken.append((name, f"{name}: {rows:,} of {of:,} rows" if of else f"{name} is missing"))
    return RuleResult(list(columns), broken, "none")


def check_base_rates(frame: pd.DataFrame, *, bounds: Mapping[str, Sequence[float]], since: str) -> RuleResult:
    """Find tasks without observed labels since a day, or with a mean label outside of the bounds."""
    first = date.fromisoformat(since)
    counts = [one for one in m.measured(frame, m.POSITIVES) if one.day is None or one.day >= first]
    broken, observed = [], []
    for task, (low, high) in bounds.items():
        of, total = (sum(getattr(one, n) for one in counts if one.subject == task) for n in ("of", "total"))
        rate = f"{task}: {_format_rate(total / of, low, high)}" if of else f"{task}: no observed label"
        if not of or not low <= total / of <= high:
            broken.append((task, f"{rate}, allowed {low:g} to {high:g}"))
        observed.append(rate)
    return RuleResult(list(bounds), broken, ", ".join(observed) or "no bounds are declared")


def check_top_user(frame: pd.DataFrame, *, max_share: float, rows_at_least: int) -> RuleResult:
    """Find a user with more than a maximum share of a table, if that is many rows."""
    for top in m.measured(frame, m.USER):
        observed = f"user {top.value}: {top.rows:,} of {top.of:,} rows ({top.rows / top.of:.1%})"
        broken = top.rows >= rows_at_least and top.rows > max_share * top.of
        return _evaluate_table(f"{observed}; allowed {max_share:.1%}" if broken else "", observed)
    return _evaluate_table("", "no row has a user")


def check_heavy_users(frame: pd.DataFrame, *, max_share: float) -> RuleResult:
    """Find users with more than a maximum share of all requests, and report the effect of excluding them."""
    whole = {one.subject: one for one in m.measured(frame, m.WITH_USERS)}
    broken = []
    for user in sorted(m.measured(frame, m.USER), key=lambda one: -one.rows):
        if user.rows <= max_share * user.of:
            continue
        rests = [one for one in m.measured(frame, m.WITHOUT_USER) if one.value == user.value and one.of]
        changes = ", ".join(f"{one.subject} {_mean(whole[one.subject])} to {_mean(one)}" for one in rests)
        share = f"{user.rows:,} of {user.of:,} requests ({user.rows / user.of:.1%})"
        broken.append(("user_id", f"user {user.value}: {share}; without this user {changes}"))
    return RuleResult(["user_id"], broken, f"no user has over {max_share:.0%} of the requests")


def check_unknown_events(
    frame: pd.DataFrame,
    *,
    events: Collection[str],
    as_of: str,
    newest: int,
    elsewhere: Mapping[str, str] | None = None,
) -> RuleResult:
    """Find names unknown to every surface that are new or similar to one of the contract's names.

    Names that another surface declares are only listed. Of the others, the most frequent are evaluated.
    """
    unknown = m.measured(frame, m.UNKNOWN_NAME)
    first = _first_days(unknown)
    rows = {name: sum(one.rows for one in unknown if one.subject == name) for name in first}
    since = datetime.fromisoformat(as_of).date() - timedelta(days=newest)
    begun = min(_first_days(m.measured(frame, m.ROWS)).values(), default=since)
    broken = []
    frequent = sorted(first, key=lambda name: -rows[name])
    others = elsewhere or {}
    for name in [name for name in frequent if name not in others][:_MOST_NAMES]:
        if near := get_close_matches(name, events, n=1, cutoff=_CLOSE):
            broken.append((name, f"{name}: {rows[name]:,} events (is it '{near[0]}'?)"))
        elif begun < since <= first[name]:
            broken.append((name, f"{name}: {rows[name]:,} events since {first[name]}"))
    holds = load.describe_strange_events({name: rows[name] for name in frequent}, events, others)
    return RuleResult(sorted(events), broken, "; ".join(holds) or "none")


def check_contracted_events(frame: pd.DataFrame, *, events: Sequence[str]) -> RuleResult:
    """Find names of the contract without events."""
    names = {one.subject for one in m.measured(frame, m.ROWS)}
    broken = [(name, f"{name}: no event") for name in events if name not in names]
    return RuleResult(list(events), broken, f"{len(events)} names")


def _evaluate_table(broken: str, holds: str) -> RuleResult:
    return RuleResult(["table"], [("table", broken)] if broken else [], holds)


def _format_count(one: Measurement) -> str:
    examples = f" (for example {one.examples})" if one.examples else ""
    return f"{one.subject}: {one.rows:,} of {one.of:,} rows{examples}"


def _mean(one: Measurement) -> str:
    return f"{one.total / one.of:.3g}"


def _first_days(counts: Iterable[Measurement]) -> dict[str, date]:
    first: dict[str, date] = {}
    for one in counts:
        if one.day is not None:
            first[one.subject] = min(one.day, first.get(one.subject, one.day))
    return first


def _format_rate(rate: float, low: float, high: float) -> str:
    """Format a rate with three digits, or as many as are needed to compare it with its bounds.

    Examples
    --------
    >>> _format_rate(0.101346, 0.01, 0.2), _format_rate(0.0099998, 0.01, 0.2)
    ('0.101', '0.0099998')
    """
    within = (rate < low, rate > high)
    written = (f"{rate:.{digits}g}" for digits in range(3, 18))
    return next((text for text in written if (float(text) < low, float(text) > high) == within), repr(rate))


def _format_length(time: timedelta) -> str:
    days, hours = time / timedelta(days=1), time / timedelta(hours=1)
    number, unit = (days, "days") if days >= 2 else (hours, "hours")
    return f"{number:.1f} {unit}" if number < 99.95 else f"{number:,.0f} {unit}"


def _count(statistic: str, *, unless: str = "") -> Callable[..., RuleResult]:
    return partial(count_broken_rows, statistic=statistic, unless=unless)


def _compare(check: Callable[..., RuleResult], **fixed: Any) -> Callable[..., RuleResult]:
    """Return a check of days that takes the arguments of a comparison under the names used in suites."""

    def evaluate_days(
        frame: pd.DataFrame,
        *,
        as_of: str,
        trailing: int,
        false_alarm_rate: float,
        newest: int | None = None,
        **own: Any,
    ) -> RuleResult:
        return check(frame, Comparison(as_of, trailing, false_alarm_rate, newest), **fixed, **own)

    return evaluate_days


_SHARE = ("max_share",)
_DAYS = ("as_of", "trailing", "false_alarm_rate", "newest")
_LEAST = (*_DAYS, "least", "least_change")
_NEGATIVES = ("since", "trailing", "expected", "tasks")

# fmt: off
# Each rule takes two or three lines, so that the table can be read as one.
RULES = (
    Rule("expect_some_rows", check_rows, (),
         "The table has rows: an empty one passes every other rule."),
    Rule("expect_columns_as_contracted", check_columns, ("columns",),
         "Every column that the contracts name is there, in a type that they allow."),
    Rule("expect_fresh_rows", check_freshness, ("as_of", "within"),
         "The newest row lies shortly before the as-of."),
    Rule("expect_no_nulls", check_nulls, ("columns",),
         "Some columns hold no null."),
    Rule("expect_finite_numbers", _count(m.INFINITE, unless="no column is read as a number"), _SHARE,
         "No number that models or policies take is infinite on a day that a slice can reach."),
    Rule("expect_finite_numbers_earlier",
         _count(m.INFINITE_EARLIER, unless="no column is read as a number"), _SHARE,
         "No number that models or policies take was infinite on an earlier day."),
    Rule("expect_one_row_per_impression", _count(m.KEYS), _SHARE,
         "(request_id, item_id) is the key of every row."),
    Rule("expect_positions_from_one", _count(m.POSITION, unless="the table has no position"), _SHARE,
         "A position is a whole number from 1."),
    Rule("expect_one_user_per_request", _count(m.USERS), _SHARE,
         "A request has one user."),
    Rule("expect_some_candidates_not_shown", check_candidates_shown, (),
         "Some candidates were shown, and some were not."),
    Rule("expect_shown_candidates_to_be_impressions",
         _count(m.UNMATCHED, unless="there is no candidate to compare"), _SHARE,
         "The candidates with `shown` are the impressions."),
    Rule("expect_candidates_to_agree_with_impressions",
         partial(check_columns_by_day, statistic=m.DISAGREEING), _SHARE,
         "A shown candidate has the values of its impression."),
    Rule("expect_values_of_candidates_not_shown",
         partial(check_columns_by_day, statistic=m.RARELY_SHOWN), _SHARE,
         "Candidates that were not shown do not share one value, or null, that the shown ones rarely have."),
    Rule("expect_candidates_of_every_request",
         _count(m.NO_CANDIDATES, unless="there is no candidate to compare"), _SHARE,
         "Every request of the impressions has candidates, from the first day that has some."),
    Rule("expect_few_unknown_constraint_values",
         _count(m.CONSTRAINT_NULLS, unless="no hard constraint reads a column of the table"), _SHARE,
         "The columns that hard constraints read have values: a row without one is never ranked."),
    Rule("expect_constraints_to_drop_some", check_constraints_drop, (),
         "Every hard constraint drops some candidate."),
    Rule("expect_kept_shares_as_usual", compare_kept_shares, ("least", "least_dropped"),
         "On no day a hard constraint keeps nothing, or a share far from that of the days around."),
    Rule("expect_no_equal_events", check_equal_events, ("events", "max_share"),
         "No event equals another in every column but ingested_at."),
    Rule("expect_nothing_from_the_future", _count(m.FUTURE), _SHARE,
         "No row lies at or after the as-of."),
    Rule("expect_few_rows_in_quarantine", _count(m.QUARANTINED, unless="none"), _SHARE,
         "Few rows are left out as bad."),
    Rule("expect_no_user_to_have_too_much", check_top_user, ("max_share", "rows_at_least"),
         "No user has a large part of the table."),
    Rule("expect_no_user_with_too_many_requests", check_heavy_users, _SHARE,
         "No user has a large part of all requests."),
    Rule("expect_no_label_observed_before_maturity", _count(of_labels.EARLY), _SHARE,
         "No label is observed before it is mature: an early negative is a lie."),
    Rule("expect_label_value_only_when_observed", _count(of_labels.UNMASKED), _SHARE,
         "A label has a value exactly where it is observed: missing is masked, never zero."),
    Rule("expect_values_that_trees_hold",
         _count(of_labels.BEYOND, unless="no task has values"), _SHARE,
         "A value is a number that trees can hold."),
    Rule("expect_deadlines_after_their_impression",
         _count(of_labels.MISDATED, unless="no window ends at a column"), _SHARE,
         "A deadline lies after its impression, and within the longest window: else there is no label."),
    Rule("expect_conditional_label_only_where_parent_positive",
         _count(of_labels.PARENTLESS, unless="no task has a parent"), _SHARE,
         "A label is observed only where its parent is positive: no return without a purchase."),
    Rule("expect_label_status_to_have_meaning", _count(of_labels.MEANINGLESS), _SHARE,
         "Every label has a reason for its value or for its absence."),
    Rule("expect_base_rates_within_bounds", check_base_rates, ("bounds", "since"),
         "The mean of a task's observed labels lies in the range that the surface declares."),
    Rule("expect_events_after_their_impression",
         _count(m.SKEWED, unless="no event names its impression by request_id and item_id"), _SHARE,
         "An event that happened before its impression was shown was timed by another clock."),
    Rule("expect_events_of_shown_items",
         _count(m.NEVER_SHOWN, unless="the events have no item_id"), _SHARE,
         "Where next to no event is of an item that was shown, the two tables do not name items alike."),
    Rule("expect_arrival_after_happening",
         _count(m.ARRIVED_EARLY, unless="the events have no ingested_at"), _SHARE,
         "Nothing arrives before it happens."),
    Rule("expect_no_strange_event", check_unknown_events, ("events", "as_of", "newest", "elsewhere"),
         "No event name outside of the contract is new, or close to one of the contract."),
    Rule("expect_every_contracted_event", check_contracted_events, ("events",),
         "Every event name of the contract occurs."),
    Rule("expect_no_day_left_out", check_missing_days, ("as_of",),
         "No day between others is without rows."),
    Rule("expect_no_silent_day", partial(check_silences, ended=False), ("as_of", "trailing", "expected"),
         "No event is silent for days and comes back."),
    Rule("expect_event_streams_to_go_on", partial(check_silences, ended=True),
         ("as_of", "trailing", "expected", "grace_days"),
         "No event falls silent for good."),
    Rule("expect_negative_events_every_day", partial(check_missing_negatives, statistic=m.NEGATIVES),
         _NEGATIVES, "No day lacks all events of a negative or safety task."),
    Rule("expect_negative_labels_every_day", partial(check_missing_negatives, statistic=m.POSITIVES),
         _NEGATIVES, "On no day of observed labels a negative or safety task has no positive."),
    Rule("expect_negative_labels_everywhere", partial(check_missing_negatives, statistic=m.NEGATIVES_OF_PART),
         _NEGATIVES, "In no segment or category the positives of a negative or safety task are missing."),
    Rule("expect_daily_volume_as_usual", _compare(compare_volumes), (*_DAYS, "above", "below", "grace_days"),
         "A day has about as many rows as the days before it.",
         drawing="Rows by day", always=True),
    Rule("expect_base_rates_as_usual", _compare(compare_shares, statistic=m.POSITIVES, lasting=True), _LEAST,
         "The share of positives among a day's observed labels is that of the mature days before it.",
         drawing="Base rate by mature day", always=True),
    Rule("expect_status_shares_as_usual", _compare(compare_shares, statistic=m.STATUS), _LEAST,
         "The share of each status among a mature day's labels is that of the days before it.",
         drawing="Share of a status by mature day"),
    Rule("expect_null_shares_as_usual", _compare(compare_shares, statistic=m.NULLS), _LEAST,
         "The share of nulls among a day's rows is that of the days before it.",
         drawing="Share of nulls by day"),
    Rule("expect_segment_values_to_stay", check_values, ("columns", "as_of", "trailing", "newest", "share"),
         "No segment loses or gains a value."),
    Rule("expect_distributions_to_stay", _compare(compare_distributions), (*_DAYS, "least"),
         "Features and segments are distributed as on the days before.",
         drawing="Distance of a day's values from the days before, in bits"),
)
# fmt: on
