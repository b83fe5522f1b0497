"""The show_dossier step: the page of a release that was judged, written anew from what was kept of it."""

import webbrowser
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tasks.errors import ContractError
from tasks.evaluation.release_evidence import GateEvidence
from tasks.evaluation.subjects import Segment
from tasks.promotion.compose import recompose
from tasks.promotion.pages.segment_page import write_segment_page
from tasks.stores.releases import release_part
from tasks.stores.workspace import Workspace, write_report


@dataclass(frozen=True)
class ShownDossier:
    """A release's verdict, and where its page lies; ``opened`` in a browser or not."""

    release: int
    verdict: str
    dossier: str
    opened: bool


def run(
    workspace: Workspace, *, release: str | int, browse: bool, segment: Segment | None = None
) -> ShownDossier:
    """Write the dossier of a release, from the verdicts of the gate that judged it last.

    Parameters
    ----------
    segment : what to write a page of, of its verdicts alone, in place of the dossier.
    """
    part = release_part(workspace, release)
    gate = workspace.store.runs.newest(workspace.surface, step="gate", release=part.version)
    if gate is None:
        raise ContractError(
            f"No gate has judged {part}: it has no dossier. Retrain, or promote it, and it is judged."
        )
    dossier = recompose(workspace, part.version, workspace.store.runs.read_evidence(gate, GateEvidence))
    tagged = workspace.store.registry.tags(part).get("dossier")
    if segment is not None:
        title = f"{workspace.surface} release {part.version}"
        page = write_segment_page(title, segment, dossier.verdicts, dossier.words)
        named = "-".join(quote(one, safe="") for one in (segment.column, segment.value))
        path = write_report(workspace, f"release-{part.version}-{named}.html", page)
    else:
        name = Path(tagged).name if tagged else f"dossier-release-{part.version}.html"
        path = write_report(workspace, name, dossier.to_html())
    opened = browse and webbrowser.open(Path(path).resolve().as_uri())
    return ShownDossier(part.version, dossier.verdict, str(path), opened)
