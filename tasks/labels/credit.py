"""Which events an impression is credited with: the relations of a task, in one of two forms.

::

    <task>__signals    the events that may count, with the match columns
    <task>__windows    first_touch, last_touch by a scan: of each instant the impression that competes
    <task>__touched    first_touch, last_touch: the impression that takes each instant's events
    <task>__credited   per window (every) or impression (touch): crediting event, answer, value
    <task>__out_<k>    per window: the first event of the k-th exclusion

Both forms give the same rows. A join visits every pair of a window and a signal with equal match columns, a
scan sorts both. Where few rows share a key the join is faster; where one user has tens of thousands of
impressions and events it does not end. The form is chosen by the key, or by counting the pairs.
"""

from collections.abc import Sequence

from sqlglot import exp

from tasks import columns as c
from tasks.contracts import TasksSpec
from tasks.labels import join_form, scan_form
from tasks.labels import windows as w
from tasks.labels.maturity import credits_alone
from tasks.labels.query import Crediting, Form, Relations
from tasks.logs import rows
from tasks.sql import expressions as x


def list_creditings(
    spec: TasksSpec, task: str, arrived: x.AsOf, *, has_position: bool, labels_only: bool = False
) -> list[Crediting]:
    """Return a task's own crediting, and that of each of its exclusions.

    Parameters
    ----------
    arrived
        The instant up to which the log had arrived: see ``Horizon``.
    has_position
        Whether the impressions have a position to break ties by.
    labels_only
        See ``label_query``.
    """
    rule, among = w.event_rule(spec, task), rows.WRITTEN if labels_only else rows.SHOWN
    if rule.credit != "every":
        own = _touch(spec, task, has_position=has_position)
    elif labels_only and credits_alone(spec, task):
        own = _every(spec, task, among=among, where=[_is_mature(spec, task, arrived)])
    else:
        own = _every(spec, task)
    exclusions = range(len(spec.tasks[task].exclude))
    return [own, *(_exclusion(spec, task, k, arrived, among) for k in exclusions)]


def _is_mature(spec: TasksSpec, task: str, arrived: x.AsOf) -> exp.Expr:
    return x.le(x.column(c.SHOWN_AT, rows.SHOWN), w.last_mature(spec, task, arrived))


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


def _touch(spec: TasksSpec, task: str, *, has_position: bool) -> Crediting:
    signals, contenders, touched = f"{task}__signals", f"{task}__windows", w.touched(task)
    folded = {w.credited(task): join_form.credited_touched(spec, task, signals)}
    forms: dict[Form, Relations] = {
        Form.JOIN: {touched: join_form.touched(spec, task, signals, has_position=has_position), **folded},
        Form.SCAN: {
            contenders: scan_form.contenders(spec, task, signals, has_position=has_position),
            touched: scan_form.touched(spec, task, signals, contenders),
            **folded,
        },
    }
    return _crediting(spec, task, forms, w.windows(spec, task, w.event_rule(spec, task).match))


def _crediting(spec: TasksSpec, task: str, forms: dict[Form, Relations], windows: exp.Select) -> Crediting:
    rule, signals = w.event_rule(spec, task), (f"{task}__signals", w.signals(spec, task))
    if not scan_form.can_scan(rule):
        del forms[Form.SCAN]
    return Crediting(w.credited(task), rule.match, signals, windows, forms)


def _exclusion(spec: TasksSpec, task: str, number: int, arrived: x.AsOf, among: str) -> Crediting:
    """Return the crediting of an exclusion, of mature impressions alone: an immature label shows none."""
    rule, name = spec.tasks[task].exclude[number], w.excluded(task, number)
    windows = w.windows(spec, task, rule.on, among=among, where=[_is_mature(spec, task, arrived)])
    signals = f"{name}_signals"
    forms: dict[Form, Relations] = {
        Form.JOIN: {name: join_form.first_exclusion(spec, task, rule.on, signals, windows)},
        Form.SCAN: {name: scan_form.first_exclusion(spec, task, rule.on, signals, windows)},
    }
    return Crediting(name, rule.on, (signals, w.events(rule.on, rule.event)), windows, forms)
