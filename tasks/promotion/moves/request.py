"""The promotion request: how it is made, its page for reviewers, and who approved it.

::

    make        check early what the alias update requires  -> release, champion, evidence digest
    show        the page of this request, from registry and dossier; raises if the evidence changed
    approvers   who approved, by the audit log

Reviewers read data from the stores only, because Airflow users can write the values that steps pass on.

The page is short markdown in Airflow's form: verdict, warnings, changes, guardrails, links, evidence.

The propose step requests the promotion of a retrained release that passes its gates.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tasks.errors import GateRefused, StoreError
from tasks.evaluation.release_evidence import GateEvidence
from tasks.evaluation.verdicts import Outcome
from tasks.promotion.gates.policy import POLICIES, changed_contracts
from tasks.promotion.moves import promote
from tasks.promotion.moves.answers import answers_of
from tasks.promotion.moves.promote import GateEvaluator
from tasks.promotion.moves.rules import PromotionRequest, PromotionSupport, require_reason, require_support
from tasks.promotion.pages.changes import list_changes
from tasks.promotion.pages.first_screen import FirstScreen, first_screen
from tasks.release.description import markdown_table, plain_markdown
from tasks.release.view import release_policy
from tasks.reports.numbers import format_outcomes, spoken
from tasks.reports.phrases import vocabulary
from tasks.stores.aliases import CHAMPION
from tasks.stores.audit import live_ramps
from tasks.stores.manifest import Manifest
from tasks.stores.releases import BACKFILLED, VERDICT
from tasks.stores.workspace import Workspace, format_instant

_WARNINGS, _RAILS, _HARMED = 3, 6, 3


@dataclass(frozen=True)
class RequestedPromotion:
    """A requested promotion; ``run_id`` is the gate's run with the dossier.

    ``share`` is the share of its pool's users for a canary; ``override`` describes the override, if any.
    """

    release: int
    champion: int | None
    evidence: str
    run_id: str
    as_of: str
    share: float | None = None
    override: str = ""


def make(
    workspace: Workspace, *, release: str | int, support: PromotionSupport, evaluate_gate: GateEvaluator
) -> RequestedPromotion:
    """Evaluate a release against the current champion, and raise early if it cannot be promoted."""
    require_reason(support)
    request = promote.prepare(workspace, release=release, evaluate_gate=evaluate_gate, support=support)
    require_support(request)
    run_id = _gate_run(workspace, request.release)
    override = "" if request.terms.override is None else str(request.terms.override)
    return RequestedPromotion(
        request.release,
        request.champion,
        request.evidence,
        run_id,
        request.as_of,
        request.terms.share,
        override,
    )


def show(
    workspace: Workspace, *, release: int, evidence: str, support: PromotionSupport, links: Mapping[str, str]
) -> str:
    """Return the page of a request as markdown.

    Parameters
    ----------
    evidence : digest of the request; must equal the digest of the stores' current content.
    support : support of the promotion with its reason.
    links : addresses by link text.
    """
    part = workspace.releases.part(release)
    aliases = workspace.store.registry.aliases(part.name)
    champion = aliases.get(CHAMPION)
    dossier = workspace.store.runs.read_evidence(_gate_run(workspace, release), GateEvidence)
    live = live_ramps(workspace.audit.entries())
    terms = promote.make_terms(workspace, part, support, aliases=aliases, live=live)
    terms = replace(terms, override=promote.find_override(workspace, dossier, why=support.override))
    manifest = workspace.releases.manifest(release)
    old = None if champion is None else workspace.releases.manifest(champion)
    request = PromotionRequest.of(dossier, champion, (manifest, old), terms)
    if request.evidence != evidence:
        raise GateRefused(
            f"The evidence for {part} has changed since the request was made. Start the promotion again"
        )
    # composed from the stores, not from the stored page
    utility = release_policy(workspace, manifest)
    old_utility = None if old is None else release_policy(workspace, old)
    changes = list_changes(manifest, old, utility, old_utility)
    first = first_screen(dossier, champion, changes, vocabulary(workspace.contracts, champion=champion))
    return write_request(request, first, links=links)


def approvers(workspace: Workspace, *, release: int, run: str) -> str:
    """Return who approved a release in an Airflow run, as in ``ana, sam``."""
    answers = answers_of(workspace.audit.entries(), run=run, release=release)
    newest = {answer.role: answer for answer in answers}
    return ", ".join(sorted({answer.by for answer in newest.values() if answer.approves}))


def _gate_run(workspace: Workspace, release: int) -> str:
    run = workspace.store.runs.newest(workspace.surface, step="gate", release=release)
    if run is None:
        raise StoreError(f"MLflow holds no finished run of the gate on release {release}: evaluate it again")
    return run


def write_request(request: PromotionRequest, first: FirstScreen, *, links: Mapping[str, str]) -> str:
    """Return a request as at most 40 lines of markdown.

    Parameters
    ----------
    first : first screen of the release's dossier.
    links : addresses by link text.
    """
    counts = Counter(verdict.outcome for verdict in request.gate.verdicts)
    counted = format_outcomes({outcome: counts[outcome] for outcome in Outcome})
    compared = "no champion" if request.champion is None else f"champion {request.champion}"
    blocks = (
        [f"**{request.gate.verdict}**, compared with {compared}: {counted}."],
        ["; ".join(map(plain_markdown, first.primary))],
        [f"Reason given for the promotion: {plain_markdown(request.terms.support.why)}"],
        _terms_of(request),
        _warned(request.gate.warnings),
        _changed(request, first),
        _rails(first),
        _harmed(first),
        [_changes(request)],
        [" · ".join(f"[{words}]({address})" for words, address in links.items() if address)],
        [f"Evidence `{request.evidence}`"],
    )
    return "\n\n".join("\n".join(block) for block in map(list, blocks) if any(block))


def _terms_of(request: PromotionRequest) -> Iterator[str]:
    """Yield the stage and the override of the request."""
    if (share := request.terms.share) is not None:
        yield f"Requested as the **canary**: {share:.3g} of the users, next to champion {request.champion}."
    if (override := request.terms.override) is not None:
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


def _changed(request: PromotionRequest, first: FirstScreen) -> Iterator[str]:
    """Return a table of the components that differ from the champion's."""
    rows = [[change.of, change.words] for change in first.changes]
    return (
        markdown_table(["component", f"changes since champion {request.champion}"], rows)
        if rows
        else iter(())
    )


def _rails(first: FirstScreen) -> Iterator[str]:
    """Return a table of the guardrails over all segments, the worst first."""
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


def _changes(request: PromotionRequest) -> str:
    support = request.terms.support
    if request.champion is None:
        return "It is the first release, so it changes no tasks or policies of a champion."
    if not request.changed:
        return f"Tasks, utility and slate policy are those of champion {request.champion}."
    files = ", ".join(POLICIES[name] for name in request.changed)
    if support.experiment:
        return f"It changes {files}. Supported by the experiment {plain_markdown(support.experiment)}."
    return f"It changes {files}. Without an experiment: {plain_markdown(support.waiver or '')}"


@dataclass(frozen=True)
class Proposal:
    """Whether a release is proposed, with the reason."""

    release: int
    proposed: bool
    why: str


def propose(workspace: Workspace, *, release: int, unchanged: bool = False) -> Proposal:
    """Decide whether to propose a release for promotion.

    Notes
    -----
    A release that changes tasks or policies needs a person who names the support for the change. A former
    champion is not proposed again, since somebody rolled it back.
    """
    part = workspace.releases.part(release)
    if unchanged:
        return Proposal(part.version, proposed=False, why="a run about the past found it")
    manifest, tags = workspace.releases.manifest(release), workspace.store.registry.tags(part)
    if against := _against(workspace, part.version, manifest, tags):
        return Proposal(part.version, proposed=False, why=against)
    why = f"retrained as of {format_instant(manifest.as_of)}, and no gate holds it"
    return Proposal(part.version, proposed=True, why=why)


def _against(workspace: Workspace, release: int, manifest: Manifest, tags: dict[str, str]) -> str:
    """Return why a release is not proposed, or an empty string."""
    if not workspace.contracts.surface.promotion.propose:
        return "surface.yaml does not set it (promotion.propose)"
    if tags.get(BACKFILLED) == "true":
        return "a backfill made it"
    if tags.get(VERDICT) != "promote":
        return "its gates hold it"
    rows = [entry for entry in workspace.aliases.audit.entries() if entry.release == release]
    if any(entry.sets_alias for entry in rows):
        return f"it was {'champion' if any(entry.moves for entry in rows) else 'the canary'} before"
    champion = workspace.releases.find(CHAMPION)
    of_champion = None if champion is None else workspace.releases.manifest(champion).contracts
    files = ", ".join(POLICIES[name] for name in changed_contracts(manifest.contracts, of_champion))
    if files:
        return f"it changes {files} of champion {champion}: a person names the experiment, or waives it"
    return ""
