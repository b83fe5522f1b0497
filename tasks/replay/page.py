"""The simulation report: what a release does to its slates, beside its baseline, on one page."""

from collections.abc import Mapping, Sequence
from html import escape

from tasks.evaluation.verdicts import Verdict
from tasks.replay.replay_policies import ALL, Measured
from tasks.reports.page import figure, listed, page, table

_HEAD = ("metric", "judged by", "policy", "baseline", "relative change", "users")
_NUMBERS = (2, 3, 4, 5)


def simulation_page(
    title: str,
    facts: Sequence[str],
    *,
    verdicts: Sequence[Verdict],
    measured: Sequence[Measured],
    others: Mapping[str, Sequence[Measured]],
    notes: Sequence[str],
) -> str:
    """Write the report as one self-contained page.

    Parameters
    ----------
    verdicts : of the guardrails.
    measured : every metric, on the whole and in segments.
    others : by name, further policies measured against the release under test.
    notes : what the data cannot tell.
    """
    body = [listed("What these data cannot tell", notes), _guardrails(verdicts)]
    body.append(_measured("Policy and baseline", [m for m in measured if m.segment == ALL]))
    body += [_measured(f"{name} against the release", rows) for name, rows in others.items()]
    body.append(_segments([m for m in measured if m.segment != ALL]))
    return page(title, facts, "".join(body))


def _guardrails(verdicts: Sequence[Verdict]) -> str:
    rows = [
        (v.outcome.value, v.subject, v.segment, figure(v.observed, percent=v.relative), v.threshold, v.reason)
        for v in verdicts
    ]
    head = ("verdict", "guardrail", "segment", "observed", "allowed", "reason")
    return f"<h2>Guardrails</h2>{table(head, rows, numbers=(3, 4))}"


def _measured(title: str, measured: Sequence[Measured]) -> str:
    return f"<h2>{escape(title)}</h2>{table(_HEAD, [_row(m) for m in measured], numbers=_NUMBERS)}"


def _segments(measured: Sequence[Measured]) -> str:
    if not measured:
        return ""
    rows = [(m.segment, *_row(m)) for m in measured]
    numbers = [n + 1 for n in _NUMBERS]
    return f"<h2>By segment</h2>{table(('segment', *_HEAD), rows, numbers=numbers)}"


def _row(measured: Measured) -> tuple[str, ...]:
    if measured.policy is None:
        return measured.metric, f"cannot tell: {measured.reason}", "", "", "", ""
    return (
        measured.metric,
        measured.judge,
        figure(measured.policy),
        figure(measured.baseline),
        figure(measured.relative, percent=True),
        f"{measured.policy.n:,}",
    )
