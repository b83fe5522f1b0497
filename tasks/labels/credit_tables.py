"""What a task is credited with, as tables of the session, each made in the form that the log asks for.

::

    signals                               a table
    windows x signals of equal keys       counted: the pairs that a join would visit
    join, or scan where they are many     a table; what only led to it is dropped again
"""

import logging
from collections.abc import Iterable

from tasks.labels.credit import Crediting, Form
from tasks.logs.tables import LogTables
from tasks.sql import expressions as x
from tasks.sql.templates import fill

FAN_OUT = 12
"""Pairs for each window and signal above which a scan is taken. It decides how long, never what."""

FEW = 2
"""Signals of one key in an eighth of them up to which nothing is counted further."""

_LOG = logging.getLogger("equipoise")


def credit(log: LogTables, creditings: Iterable[Crediting]) -> None:
    """Make the relations that the labels join; needs ``shown``, ``known`` and those of a task's parents."""
    for crediting in creditings:
        log.create(*crediting.signals)
        form = _form(log, crediting)
        relations = crediting.relations(form)
        for name, query in relations.items():
            if name != crediting.signals[0]:
                log.create(name, query)
        for name in relations:
            if name != crediting.name:
                log.connection.execute(fill("DROP TABLE $name", name=x.name(name)))


def _form(log: LogTables, crediting: Crediting) -> Form:
    if Form.SCAN not in crediting.forms:
        return Form.JOIN
    if _most_in_an_eighth(log, crediting) <= FEW:
        _LOG.info("labels: %s by join: no key has many signals", crediting.name)
        return Form.JOIN
    pairs, windows, signals = _pairs(log, crediting)
    form = Form.SCAN if pairs > FAN_OUT * (windows + signals) else Form.JOIN
    said = "labels: %s by %s: %d pairs of %d windows and %d signals"
    _LOG.info(said, crediting.name, form, pairs, windows, signals)
    return form


def _most_in_an_eighth(log: LogTables, crediting: Crediting) -> int:
    """Count the signals of the most frequent key in a part of them: a key that has many has some there."""
    ((most,),) = log.fetch(
        """SELECT coalesce(max(n), 0)
           FROM (SELECT count(*) AS n FROM $signals WHERE rowid % 8 = 0 GROUP BY $match)""",
        signals=x.table(crediting.signals[0]),
        match=x.columns(crediting.match),
    )
    return int(most)


def _pairs(log: LogTables, crediting: Crediting) -> tuple[int, int, int]:
    """Count the pairs that a join would visit, the windows whose key has a signal, and the signals."""
    ((pairs, windows, signals),) = log.fetch(
        """SELECT coalesce(sum(n), 0), count(*), (SELECT count(*) FROM $signals)
           FROM ($windows)
           JOIN (SELECT $match, count(*) AS n FROM $signals GROUP BY $match) USING ($match)""",
        windows=crediting.windows,
        signals=x.table(crediting.signals[0]),
        match=x.columns(crediting.match),
    )
    return int(pairs), int(windows), int(signals)
