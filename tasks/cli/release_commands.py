"""Commands on releases: rehearse, show, and score with them."""

import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from tasks.cli import explain_text, simulation_text, text
from tasks.cli.command import Group
from tasks.cli.options import (
    AsOf,
    Candidates,
    EngineOption,
    FileToWrite,
    ParentRun,
    Release,
    ReleaseOption,
)

if TYPE_CHECKING:
    from tasks.promotion.readiness.standing import ReadinessResult
    from tasks.release.score import ScoreResult
    from tasks.release.view import VerifyResult
    from tasks.replay.shadow import ShadowResult
    from tasks.replay.simulate import SimulateResult
    from tasks.stores.releases import ReleaseSummary
    from tasks.stores.workspace import Workspace

_releases = Group("Releases")
_release = Group("Releases", word="release", help="List, show and verify releases, and who moved them.")
GROUPS = (_releases, _release)


@_releases.command(
    "home_feed --release 3", written=simulation_text.write_simulation, passed=lambda result: result.passed
)
def simulate(
    workspace: "Workspace",
    release: ReleaseOption,
    policy: Annotated[list[Path] | None, Option(metavar="FILE", help="A utility.yaml to compare.")] = None,
    baseline: Annotated[
        str | None,
        Option(metavar="REF|logged|COLUMN", help="A release, or an order of items (default: champion)."),
    ] = None,
    engine: EngineOption = None,
    parent_run: ParentRun = None,
) -> "SimulateResult":
    """Compare policies with the baseline on logged candidates; exit code 1 where a guardrail blocks."""
    from tasks.replay import simulate
    from tasks.stores.releases import resolve_release

    return simulate.run(
        replace(workspace, engine=engine),
        release=resolve_release(workspace, release),
        baseline=baseline,
        policies=tuple(policy or ()),
        parent_run=parent_run,
    )


@_releases.command(
    "home_feed --challenger challenger --as-of 2026-05-13T00:00:00Z",
    written=simulation_text.write_shadow,
    passed=lambda result: result.passed,
)
def shadow(
    workspace: "Workspace",
    challenger: Annotated[str, Option(metavar="REF", help="A version number or an alias.")],
    as_of: AsOf,
    champion: Annotated[str | None, Option(metavar="REF", help="(default: the current one)")] = None,
    parent_run: ParentRun = None,
) -> "ShadowResult":
    """Compare champion and challenger on the newest traffic; exit code 1 where a bound blocks."""
    from tasks.replay import shadow
    from tasks.stores.releases import resolve_release

    return shadow.run(
        workspace,
        as_of=as_of,
        challenger=resolve_release(workspace, challenger),
        champion=resolve_release(workspace, champion) if champion else None,
        parent_run=parent_run,
    )


@_releases.command("home_feed", written=text.write_readiness, passed=lambda result: result.ready)
def readiness(workspace: "Workspace") -> "ReadinessResult":
    """List what is ready and what is missing, each with its evidence; exit code 1 where a line is not met."""
    from tasks.promotion.readiness import standing

    return standing.run(workspace)


@_release.command("home_feed", name="list", written=text.write_releases)
def list_all(workspace: "Workspace") -> "list[ReleaseSummary]":
    """List every release, newest first."""
    from tasks.stores.releases import list_releases

    return list_releases(workspace)


@_release.command("home_feed challenger", written=text.write_release)
def show(
    workspace: "Workspace",
    ref: Release,
    html: Annotated[bool, Option("--html", help="Write its dossier, and open it on a terminal.")] = False,
) -> dict[str, Any]:
    """Show what a release is made of and its figures, or its dossier as a page."""
    if html:
        from tasks.promotion import show_dossier

        return asdict(show_dossier.run(workspace, release=ref, browse=sys.stdout.isatty()))
    from tasks.release import view

    return view.show(workspace, ref)


@_release.command("home_feed 3 4", written=text.write_release_diff)
def diff(
    workspace: "Workspace",
    before: Annotated[str, Argument(metavar="A", help="A version number or an alias.")],
    after: Annotated[str, Argument(metavar="B", help="A version number or an alias.")],
) -> dict[str, Any]:
    """Say what differs between two releases: contracts, parts, figures and verdicts."""
    from tasks.release import view

    return view.compare(workspace, before, after)


@_release.command("home_feed challenger", passed=lambda result: not result.problems)
def verify(workspace: "Workspace", ref: Release) -> "VerifyResult":
    """Check every byte and every pin of a release."""
    from tasks.release import view

    return view.verify(workspace, ref)


@_release.command(
    "home_feed", written=text.write_history, passed=lambda rows: not any(row["problem"] for row in rows)
)
def history(workspace: "Workspace") -> list[dict[str, Any]]:
    """List every move of the champion and every answer of a reviewer, oldest first."""
    from tasks.release import view

    return view.history(workspace)


@_releases.command("home_feed --release challenger --input candidates.parquet --out scored.parquet")
def score(
    workspace: "Workspace",
    release: ReleaseOption,
    source: Candidates,
    out: FileToWrite,
) -> "ScoreResult":
    """Score candidates with a release."""
    from tasks.release import score

    return score.run(workspace, release=release, source=source, out=out)


@_releases.command(
    "home_feed --release challenger --input candidates.parquet --request r-17",
    written=explain_text.write_explanation,
)
def explain(
    workspace: "Workspace",
    release: ReleaseOption,
    source: Candidates,
    request: Annotated[str, Option(metavar="ID", help="The request_id to explain.")],
) -> list[dict[str, Any]]:
    """Explain the order of a request's candidates, term by term."""
    from tasks.release import score

    return score.explain(workspace, release=release, source=source, request=request)
