"""Write the page of a release again from its newest gate run.

The page of a single segment is for a reader who may not see other segments. It contains only that
segment's verdicts; figures over all segments are in the dossier alone.
"""

import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from tasks.errors import ContractError, unknown
from tasks.evaluation.release_evidence import GateEvidence
from tasks.evaluation.subjects import ALL, Segment
from tasks.evaluation.verdicts import Verdict
from tasks.promotion.compose import recompose
from tasks.replay.evidence import SimulationEvidence
from tasks.reports.charts import draw_rails
from tasks.reports.phrases import Vocabulary, phrase_verdict, say_outcomes, vocabulary
from tasks.reports.render import render
from tasks.stores.workspace import Workspace, write_report


@dataclass(frozen=True)
class ShownDossier:
    """A release's verdict and the path of its page; ``opened``: whether a browser opened the page."""

    release: int
    verdict: str
    dossier: str
    opened: bool


def run(
    workspace: Workspace, *, release: str | int, browse: bool, segment: Segment | None = None
) -> ShownDossier:
    """Write the dossier of a release, or the page of one segment, from its newest gate run."""
    part = workspace.releases.part(release)
    gate = workspace.store.runs.newest(workspace.surface, step="gate", release=part.version)
    if gate is None:
        raise ContractError(
            f"No gate has evaluated {part}: it has no dossier. Retrain, or promote it, and it is evaluated."
        )
    gate_evidence = workspace.store.runs.read_evidence(gate, GateEvidence)
    if segment is None:
        tagged = workspace.store.registry.tags(part).get("dossier")
        name = Path(tagged).name if tagged else f"dossier-release-{part.version}.html"
        page = recompose(workspace, gate_evidence).to_html()
    else:
        name = f"release-{part.version}-{quote(segment.column, safe='')}-{quote(segment.value, safe='')}.html"
        simulation = workspace.store.runs.read_evidence(gate_evidence.runs.simulation, SimulationEvidence)
        words = vocabulary(workspace.contracts, champion=simulation.champion)
        title = f"{workspace.surface} release {part.version}"
        page = write_segment_page(title, segment, gate_evidence.verdicts, words)
    path = write_report(workspace, name, page)
    opened = browse and webbrowser.open(Path(path).resolve().as_uri())
    return ShownDossier(part.version, gate_evidence.verdict, str(path), opened)


def write_segment_page(title: str, segment: Segment, verdicts: Sequence[Verdict], words: Vocabulary) -> str:
    """Write the page of one segment: a chart of its limits, and every verdict."""
    found = [verdict for verdict in verdicts if verdict.segment == segment]
    if not found:
        known = {str(verdict.segment) for verdict in verdicts if verdict.segment != ALL}
        raise ContractError(unknown("segment", str(segment), known, where="the verdicts"))
    as_whole = [replace(verdict, segment=ALL) for verdict in found]
    return render(
        "segment.html.j2",
        title=f"{title}: {segment.column} {segment.value}",
        facts=[say_outcomes(found)],
        rails=draw_rails(as_whole, words),
        beside=words.baseline,
        sentences=[phrase_verdict(verdict, words) for verdict in as_whole],
    )
