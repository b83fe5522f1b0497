"""Which events an impression is credited with: the relations of one task, in one of two forms.

::

    <task>__signals    the events that may count, with the match columns
    <task>__windows    first_touch, last_touch by a scan: of each instant the impression that competes
    <task>__touched    first_touch, last_touch: the impression that each instant's events go to
    <task>__credited   per window (every) or impression (touch): crediting event, answer, value
    <task>__out_<k>    per window: the first event of the k-th exclusion

Both forms give the same rows. A join visits every pair of a window and a signal with equal match columns, a
scan sorts both: where keys are shared by few, the join is faster; where one user has tens of thousands of
impressions and events, it does not end. So the form goes by the key, or by what was measured.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlglot import exp

from tasks import columns as c
from tasks.contracts import TasksSpec
from tasks.labels import join_form, scan_form
from tasks.labels import windows as w
from tasks.labels.maturity import credits_alone
from tasks.logs import rows
from tasks.sql import expressions as x

Relations = dict[str, exp.Query]

_FEW = ({c.REQUEST_ID}, {c.USER_ID, c.ITEM_ID})
"""Columns that few rows share: a match that holds one of these sets is joined."""


class Form(StrEnum):
    """How windows and signals find each other."""

    JOIN = "join"
    SCAN = "scan"


@dataclass(frozen=True)
class Crediting:
    """A relation that the labels join, the signals that it needs, and the forms in which it can be made.

    ``windows`` are what the signals meet: an engine can count the pairs of both that a join would visit.
    """

    name: str
    match: tuple[str, ...]
    signals: tuple[str, exp.Query]
    windows: exp.Select
    forms: Mapping[Form, Relations]

    @property
    def usual(self) -> Form:
        """The form by the key alone."""
        few = any(columns <= set(self.match) for columns in _FEW)
        return Form.JOIN if few or Form.SCAN not in self.forms else Form.SCAN

    def relations(self, form: Form | None = None) -> Relations:
        """Return the relations in the order in which they build on each other."""
        return {self.signals[0]: self.signals[1], **self.forms[form or self.usual]}


def creditings(
    spec: TasksSpec, task: str, as_of: x.AsOf, *, position: bool, labels_only: bool = False
) -> list[Crediting]:
    """Return a task's own crediting, and that of each of its exclusions.

    Parameters
    ----------
    position
        Whether the impressions have a position to break ties by.
    labels_only
        See ``label_query``.
    """
    rule, among = w.event_rule(spec, task), rows.WRITTEN if labels_only else rows.SHOWN
    if rule.credit != "every":
        own = _touch(spec, task, position=position)
    elif labels_only and credits_alone(spec, task):
        own = _every(spec, task, among=among, where=[w.mature(spec, task, as_of)])
    else:
        own = _every(spec, task)
    outs = range(len(spec.tasks[task].exclude))
    return [own, *(_exclusion(spec, task, k, as_of, among) for k in outs)]


def _every(
    spec: TasksSpec, task: str, *, among: str = rows.SHOWN, where: Sequence[exp.Expr] = ()
) -> Crediting:
    name, rule = w.credited(task), w.event_rule(spec, task)
    windows, signals = w.windows(spec, task, rule.match, among=among, where=where), f"{task}__signals"
    forms: dict[Form, Relations] = {
        Form.JOIN: {name: join_form.credited_every(spec, task, signals, windows)},
        Form.SCAN: {name: scan_form.credited_every(spec, task, signals, windows)},
    }
    return _crediting(spec, task, forms, windows)


def _touch(spec: TasksSpec, task: str, *, position: bool) -> Crediting:
    signals, rivals, touched = f"{task}__signals", f"{task}__windows", w.touched(task)
    folded = {w.credited(task): join_form.credited_touched(spec, task, signals)}
    forms: dict[Form, Relations] = {
        Form.JOIN: {touched: join_form.touched(spec, task, signals, position=position), **folded},
        Form.SCAN: {
            rivals: scan_form.contenders(spec, task, signals, position=position),
            touched: scan_form.touched(spec, task, signals, rivals),
            **folded,
        },
    }
    return _crediting(spec, task, forms, w.windows(spec, task, w.event_rule(spec, task).match))


def _crediting(spec: TasksSpec, task: str, forms: dict[Form, Relations], windows: exp.Select) -> Crediting:
    rule, signals = w.event_rule(spec, task), (f"{task}__signals", w.signals(spec, task))
    if not scan_form.can_scan(rule):
        del forms[Form.SCAN]
    return Crediting(w.credited(task), rule.match, signals, windows, forms)


def _exclusion(spec: TasksSpec, task: str, number: int, as_of: x.AsOf, among: str) -> Crediting:
    """Return the crediting of an exclusion: what an immature impression is excluded by shows nowhere."""
    rule, name = spec.tasks[task].exclude[number], w.excluded(task, number)
    windows = w.windows(spec, task, rule.on, among=among, where=[w.mature(spec, task, as_of)])
    signals = f"{name}_signals"
    forms: dict[Form, Relations] = {
        Form.JOIN: {name: join_form.first_exclusion(spec, task, rule.on, signals, windows)},
        Form.SCAN: {name: scan_form.first_exclusion(spec, task, rule.on, signals, windows)},
    }
    return Crediting(name, rule.on, (signals, w.events(rule.on, rule.event)), windows, forms)
