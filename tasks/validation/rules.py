"""The rules that suites ask for: one table, from which the Great Expectations classes are made.

The columns are explained at ``findings.Rule``.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd

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
from tasks.validation.row_rules import (
    check_base_rates,
    check_candidates_shown,
    check_columns,
    check_constraints_drop,
    check_contracted_events,
    check_equal_events,
    check_freshness,
    check_heavy_users,
    check_nulls,
    check_rows,
    check_top_user,
    check_unknown_events,
    count_broken_rows,
)
from tasks.validation.trailing import Comparison


def _count(statistic: str, *, unless: str = "") -> Callable[..., RuleResult]:
    return partial(count_broken_rows, statistic=statistic, unless=unless)


def _compare(check: Callable[..., RuleResult], **fixed: Any) -> Callable[..., RuleResult]:
    """Return a judge of days that takes the arguments of a comparison by the names that suites use."""

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
# A rule in two or three lines, so that the table can be read as one.
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
         "Every label says why it has, or has not, a value."),
    Rule("expect_base_rates_within_bounds", check_base_rates, ("bounds",),
         "The mean of a task's observed labels lies where the surface says it must."),
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
    Rule("expect_daily_volume_as_usual", _compare(compare_volumes), (*_DAYS, "above", "below", "grace_days"),
         "A day has about as many rows as the days before it.",
         drawing="Rows by day", always=True),
    Rule("expect_base_rates_as_usual", _compare(compare_shares, statistic=m.POSITIVES), _LEAST,
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
