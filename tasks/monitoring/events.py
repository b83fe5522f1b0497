"""What people and ramps did to a surface, as rows of the series: moves of aliases and changed policies.

::

    audit    promote, rollback, canary, withdraw, ramped
             weights, constraints                           of the champion, against the champion before

A row has the metric ``event``, the kind as ``column``, words as ``value_of`` and the audit's number as value.
"""

from collections.abc import Iterator
from datetime import datetime

import numpy as np

from tasks.errors import EquipoiseError
from tasks.evaluation.metric_rows import Figure
from tasks.evaluation.subjects import ALL, Subject
from tasks.monitoring.series import EVENT, SeriesFigure
from tasks.monitoring.traffic import ServingReleases
from tasks.release.view import changed_constraints, changed_weights, release_policy
from tasks.stores.audit import Entry, Kind
from tasks.stores.workspace import Workspace


def read_events(
    workspace: Workspace, releases: ServingReleases, *, known_by: datetime, stored: set[int]
) -> Iterator[SeriesFigure]:
    """Yield the events up to an instant whose numbers in the audit are not stored."""
    try:
        entries = workspace.audit.entries()
    except EquipoiseError as error:
        releases.notes[f"Events cannot be read from the audit. {error}"] = None
        return
    for entry in entries:
        counted = entry.sets_alias or entry.kind is Kind.RAMPED
        if counted and entry.at is not None and entry.at < known_by and entry.number not in stored:
            for kind, words in _describe(workspace, releases, entry):
                subject, number = Subject(EVENT, column=kind, value=words), float(entry.number)
                figure = Figure(subject, ALL, number, np.nan, np.nan, 0, 0, 0)
                yield SeriesFigure(entry.at.date(), 1, entry.release, figure)


def _describe(workspace: Workspace, releases: ServingReleases, entry: Entry) -> Iterator[tuple[str, str]]:
    """Yield the kind and a description of each event in a row of the audit."""
    before = "" if entry.champion is None else f", champion was {entry.champion}"
    share = f" to {entry.served}" if entry.served else ""
    yield entry.kind.value, f"release {entry.release}{share}{before}"
    if not entry.moves or entry.champion is None:
        return
    try:
        old, new = (release_policy(workspace, one) for one in (entry.champion, entry.release))
    except EquipoiseError as error:
        releases.notes[f"The policies of release {entry.release} cannot be compared. {error}"] = None
        return
    for kind, find in (("weights", changed_weights), ("constraints", changed_constraints)):
        if changes := find(old, new):
            yield kind, "; ".join(changes)
