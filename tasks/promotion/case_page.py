"""The case of a promotion as its reviewers read it: short markdown, in Airflow's form.

::

    what the gates say, and beside which champion       why it is to be promoted
    every warning, the figures that moved               tasks and policies that changed, what supports them
    links to release, champion and dossier              the digest of the evidence
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tasks.contracts import UtilitySpec
from tasks.evaluation.segments import ALL
from tasks.evaluation.verdicts import WORST_FIRST, Outcome, Verdict
from tasks.promotion.rules import POLICIES, Case, Support
from tasks.release.description import markdown_table, plain_markdown, weight_terms
from tasks.reports.numbers import format_estimate

_COMPARED: Final = frozenset({"model", "decision", "shadow"})
"""The gates whose figures say what changes for people."""
_WARNINGS, _FIGURES, _TERMS = 4, 10, 6


@dataclass(frozen=True)
class Weighing:
    """The utility policies of the release and of the champion, None where there is no champion."""

    release: UtilitySpec
    champion: UtilitySpec | None


def write_case(
    case: Case,
    verdicts: Sequence[Verdict],
    weighing: Weighing,
    *,
    why: str,
    support: Support,
    links: Mapping[str, str],
) -> str:
    """Write a case on at most 40 lines.

    Parameters
    ----------
    verdicts : of every gate, beside the champion of the case.
    why : the reason that was given for the promotion.
    links : addresses by their words.
    """
    blocks = (
        [_verdict(case, verdicts)],
        [f"Why: {plain_markdown(why)}"],
        _listed(case.warnings),
        _figures(verdicts),
        [_changes(case, support)],
        _weights(weighing),
        [" · ".join(f"[{words}]({address})" for words, address in links.items() if address)],
        [f"Evidence `{case.evidence}`"],
    )
    return "\n\n".join("\n".join(block) for block in map(list, blocks) if any(block))


def _verdict(case: Case, verdicts: Sequence[Verdict]) -> str:
    counts = Counter(verdict.outcome for verdict in verdicts)
    counted = ", ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome if counts[outcome])
    beside = "without a champion" if case.champion is None else f"beside champion {case.champion}"
    return f"The gates say **{case.verdict}** {beside}: {counted}."


def _listed(lines: Sequence[str]) -> Iterator[str]:
    for line in lines[:_WARNINGS]:
        yield f"- {plain_markdown(line)}"
    if len(lines) > _WARNINGS:
        yield f"- and {len(lines) - _WARNINGS} more, in the dossier"


def _figures(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Show the comparisons of the whole, the worst first."""
    compared = [v for v in verdicts if v.gate in _COMPARED and v.segment == ALL and v.observed is not None]
    compared.sort(key=lambda verdict: WORST_FIRST.index(verdict.outcome))
    rows = [
        [v.subject, format_estimate(v.observed, relative=v.relative), v.threshold, v.outcome.value]
        for v in compared[:_FIGURES]
    ]
    return markdown_table(["figure", "observed", "allowed", "verdict"], rows) if rows else iter(())


def _changes(case: Case, support: Support) -> str:
    if case.champion is None:
        return "It is the first: there is no champion whose tasks and policies it could change."
    if not case.changed:
        return f"Tasks, utility and slate policy are those of champion {case.champion}."
    files = ", ".join(POLICIES[name] for name in case.changed)
    if support.experiment:
        return f"It changes {files}. Supported by the experiment {plain_markdown(support.experiment)}."
    return f"It changes {files}. Without an experiment: {plain_markdown(support.waiver or '')}"


def _weights(weighing: Weighing) -> Iterator[str]:
    """Show the weights that are not the champion's."""
    if weighing.champion is None:
        return
    before, after = _terms(weighing.champion), _terms(weighing.release)
    names = [name for name in {**after, **before} if before.get(name) != after.get(name)]
    if not names:
        return
    rows = [[name, before.get(name, "none"), after.get(name, "none")] for name in names[:_TERMS]]
    yield from markdown_table(["weight", "champion", "release"], rows)
    if len(names) > _TERMS:
        yield f"\nand {len(names) - _TERMS} more weights, in the release's description"


def _terms(utility: UtilitySpec) -> dict[str, str]:
    return {term: weight for term, weight, _ in weight_terms(utility)}
