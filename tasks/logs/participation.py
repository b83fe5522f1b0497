"""Which rows of a log take part as of an instant, and which are bad: the conditions, for whole files too.

A cut of None says that every row of the file lies before the as-of: then time need not be looked at.
"""

from datetime import datetime

from sqlglot import exp

from tasks import columns as c
from tasks.logs import rows
from tasks.logs.tables import LogTables
from tasks.sql import expressions as x

Cut = datetime | None
"""The as-of that cuts a file's rows; None where all of them lie before it."""


def with_key(cut: Cut) -> exp.Expr:
    """Return that an impression has its whole key and was shown before the cut."""
    if cut is not None:
        return rows.has_key(None, cut)
    return x.all_of(*(x.not_null(x.column(name)) for name in (c.SHOWN_AT, *c.IMPRESSION_KEY)))


def no_key(cut: Cut) -> exp.Expr:
    """Return that an impression lacks a part of its key or its time, and is none of the future's."""
    shown = x.column(c.SHOWN_AT)
    lacking = x.any_of(*(x.is_null(x.column(k)) for k in c.IMPRESSION_KEY))
    if cut is not None:
        lacking = x.all_of(x.lt(shown.copy(), x.instant(cut)), lacking)
    return x.any_of(x.is_null(shown), lacking)


def no_event(log: LogTables, cut: Cut) -> exp.Expr:
    """Return that an event has no name or no time, and is known as of the cut."""
    nameless = x.all_of(x.is_null(x.column(c.EVENT)), known(log, cut))
    timeless = x.is_null(x.column(c.HAPPENED_AT))
    if cut is not None and arrives(log):
        arrived = x.any_of(x.is_null(x.column(c.INGESTED_AT)), x.lt(x.column(c.INGESTED_AT), x.instant(cut)))
        timeless = x.all_of(timeless, arrived)
    return x.any_of(timeless, nameless)


def known(log: LogTables, cut: Cut) -> exp.Expr:
    """Return that an event has a time, and that it had happened and arrived before the cut."""
    if cut is None:
        return x.not_null(x.column(c.HAPPENED_AT))
    return rows.known_as_of(cut, ingested=arrives(log))


def arrives(log: LogTables) -> bool:
    """Return whether the events say when they arrived."""
    return c.INGESTED_AT in log.log.events
