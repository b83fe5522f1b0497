"""The as-of of a run, and its days.

::

    scheduled, backfill   as-of = the end of the data interval
    started by hand       as-of = the Param `as_of`, or else the time of the trigger (`run_after`)

A run's logical date is never read: it is empty or invented in a manual run. The values read here are stable
across retries and clears, so a repeated run reads the same data.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Protocol

from tasks.errors import ContractError


class Run(Protocol):
    """The attributes of Airflow's DagRun that are read here."""

    run_type: Any
    run_after: datetime
    data_interval_start: datetime | None
    data_interval_end: datetime | None
    conf: Mapping[str, Any] | None


def kind(run: Run) -> str:
    """Return the type of the run: scheduled, backfill, manual, ..."""
    return str(getattr(run.run_type, "value", run.run_type))


def find_as_of(run: Run, params: Mapping[str, Any], *, ends_at: datetime | None = None) -> datetime:
    """Return the as-of of a run, in UTC.

    Parameters
    ----------
    ends_at : where the logs end; the form begins with it, and that of a backfill sends it unasked.

    Raises
    ------
    ContractError
        An as-of without zone or in the run's future, or one given to a run that has an interval.
    """
    if kind(run) in {"scheduled", "backfill"}:
        _refuse_as_of(run, unasked=ends_at)
        return _interval_end(run)
    chosen = params.get("as_of")
    if chosen is None:
        return run.run_after.astimezone(UTC)
    as_of = instant(str(chosen))
    if as_of > run.run_after:
        raise ContractError(
            f"as_of {as_of.isoformat()} lies after the run's start {run.run_after.isoformat()}. "
            "Give an instant in the past, or none for now"
        )
    return as_of


def find_days(run: Run, params: Mapping[str, Any]) -> tuple[date | None, date | None]:
    """Return the first and last day of a labels run; None leaves an end open.

    A backfill covers the days of its interval. A scheduled run also covers every older day, since labels
    mature; the day in which its interval ends is not over and is left to the next run.
    """
    if kind(run) in {"scheduled", "backfill"}:
        first, last = days_of_interval(run)
        return (first if kind(run) == "backfill" else None), last
    first_day, last_day = (_day(params.get(name)) for name in ("first_day", "last_day"))
    if first_day and last_day and last_day < first_day:
        raise ContractError(f"last_day {last_day} lies before first_day {first_day}")
    return first_day, last_day


def days_of_interval(run: Run) -> tuple[date, date]:
    """Return the days that begin in a run's interval, or the day that holds it."""
    if run.data_interval_start is None:
        raise ContractError("This run has no data interval, so it has no days")
    first = run.data_interval_start.astimezone(UTC).date()
    return first, max(first, _interval_end(run).date() - timedelta(days=1))


def instant(text: str) -> datetime:
    """Read an instant from an XCom or a form."""
    from tasks.stores.workspace import parse_instant

    return parse_instant(text)


def written(moment: datetime) -> str:
    """Write an instant for an XCom or a form, as in 2026-03-01T00:00:00Z."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _interval_end(run: Run) -> datetime:
    if run.data_interval_end is None:
        raise ContractError(f"A {kind(run)} run without data interval has no as-of")
    return run.data_interval_end.astimezone(UTC)


def _refuse_as_of(run: Run, *, unasked: datetime | None) -> None:
    asked = (run.conf or {}).get("as_of")
    if asked and instant(str(asked)) != unasked:
        raise ContractError(
            f"as_of is for runs started by hand: a {kind(run)} run reads as of the end of its own interval, "
            f"{written(_interval_end(run))}. Leave as_of out of the configuration"
        )


def _day(value: str | None) -> date | None:
    try:
        return date.fromisoformat(value) if value else None
    except ValueError:
        raise ContractError(f"'{value}' is no day. Write it as 2026-03-01") from None
