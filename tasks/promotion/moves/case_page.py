"""The case of a promotion as its reviewers read it: short markdown, in Airflow's form.

::

    what the gates say, and beside which champion       the dossier's sentence, and why it is to be promoted
    every warning, what changed, the guardrails         harmed segments, what supports changed policies
    links to release, champion and dossier              the digest of the evidence
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from tasks.evaluation.verdicts import Outcome, Verdict
from tasks.promotion.moves.rules import POLICIES, PromotionRequest, PromotionSupport
from tasks.promotion.pages.first_screen import FirstScreen
from tasks.release.description import markdown_table, plain_markdown
from tasks.reports.numbers import spoken

_WARNINGS, _RAILS, _HARMED = 3, 6, 3


def write_case(
    case: PromotionRequest,
    verdicts: Sequence[Verdict],
    first: FirstScreen,
    *,
    why: str,
    support: PromotionSupport,
    links: Mapping[str, str],
) -> str:
    """Write a case on at most 40 lines.

    Parameters
    ----------
    verdicts : of every gate, beside the champion of the case.
    first : the first screen of the release's dossier.
    why : the reason that was given for the promotion.
    links : addresses by their words.
    """
    blocks = (
        [_verdict(case, verdicts)],
        [plain_markdown(first.primary)],
        [f"Reason given for the promotion: {plain_markdown(why)}"],
        _terms_of(case),
        _warned(case.warnings),
        _changed(case, first),
        _rails(first),
        _harmed(first),
        [_changes(case, support)],
        [" · ".join(f"[{words}]({address})" for words, address in links.items() if address)],
        [f"Evidence `{case.evidence}`"],
    )
    return "\n\n".join("\n".join(block) for block in map(list, blocks) if any(block))


def _verdict(case: PromotionRequest, verdicts: Sequence[Verdict]) -> str:
    counts = Counter(verdict.outcome for verdict in verdicts)
    counted = ", ".join(f"{counts[outcome]} {spoken(outcome)}" for outcome in Outcome if counts[outcome])
    compared = "no champion" if case.champion is None else f"champion {case.champion}"
    return f"**{case.verdict}**, compared with {compared}: {counted}."


def _terms_of(case: PromotionRequest) -> Iterator[str]:
    """Say how far it is to move, and what is overridden for it."""
    if (share := case.terms.share) is not None:
        yield f"Requested as the **canary**: {share:.3g} of the traffic, next to champion {case.champion}."
    if (override := case.terms.override) is not None:
        yield f"**Override** requested by {override.role}: {plain_markdown(override.why)}. It lifts"
        yield ""
        yield from (f"- {plain_markdown(verdict)}" for verdict in override.verdicts)


def _warned(warnings: Sequence[str]) -> Iterator[str]:
    if warnings:
        yield "Warnings"
    for line in warnings[:_WARNINGS]:
        yield f"- {plain_markdown(line)}"
    if len(warnings) > _WARNINGS:
        yield f"- and {len(warnings) - _WARNINGS} more, in the dossier"


def _changed(case: PromotionRequest, first: FirstScreen) -> Iterator[str]:
    """Show what is not the champion's, and what is."""
    rows = [[change.of, change.words] for change in first.changes]
    return (
        markdown_table(["component", f"changes since champion {case.champion}"], rows) if rows else iter(())
    )


def _rails(first: FirstScreen) -> Iterator[str]:
    """Show the guardrails of the whole, the worst first."""
    rows = [
        [
            f"{rail.metric}: {rail.meaning}" if rail.meaning else rail.metric,
            rail.observed or "not measured",
            rail.limit,
            spoken(rail.outcome),
        ]
        for rail in first.rails[:_RAILS]
    ]
    return markdown_table(["metric", "observed", "limit", "outcome"], rows) if rows else iter(())


def _harmed(first: FirstScreen) -> Iterator[str]:
    if not first.harmed:
        yield first.unharmed
    for line in first.harmed[:_HARMED]:
        yield f"- Harmed: {plain_markdown(line)}"
    more = len(first.harmed) + first.more_harmed - _HARMED
    if more > 0:
        yield f"- and {more} more segments, in the dossier"


def _changes(case: PromotionRequest, support: PromotionSupport) -> str:
    if case.champion is None:
        return "It is the first: there is no champion whose tasks and policies it could change."
    if not case.changed:
        return f"Tasks, utility and slate policy are those of champion {case.champion}."
    files = ", ".join(POLICIES[name] for name in case.changed)
    if support.experiment:
        return f"It changes {files}. Supported by the experiment {plain_markdown(support.experiment)}."
    return f"It changes {files}. Without an experiment: {plain_markdown(support.waiver or '')}"
