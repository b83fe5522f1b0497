"""Experiments on the command line: what plan, read and list print, and how they end."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.cli import main
from tasks.stores.workspace import Workspace
from tests.experiments.arms_feed import NAME, ArmsFeed
from tests.feeds import mini

Typed = Callable[..., tuple[int | None, str]]


@pytest.fixture(scope="module")
def harmful(mini_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A log whose treatment loses four clicks in ten."""
    return ArmsFeed(kept={"click": 0.6}).write(mini_world, tmp_path_factory.mktemp("harmful"))


@pytest.fixture
def typed(harmful: Workspace, capsys: pytest.CaptureFixture[str]) -> Typed:
    where = ["--surfaces", str(harmful.surfaces), "--home", str(harmful.home)]

    def run(*words: str) -> tuple[int | None, str]:
        code = main(["experiment", words[0], mini.NAME, *words[1:], *where])
        return code, capsys.readouterr().out

    return run


def test_a_harmful_treatment_is_planned_read_and_listed(typed: Typed) -> None:
    code, printed = typed("plan", NAME, "--as-of", "2026-01-11T00:00:00Z")
    assert code == 0
    assert "accepted: version 1 is pinned, control release 1, treatment release 2" in printed
    code, printed = typed("read", NAME, "--as-of", "2026-02-02T00:00:00Z")
    assert code == 1
    assert "decision: stop\n  click_30m_rate is beyond its bound" in printed
    assert "user_tenure=loyal" in printed
    code, printed = typed("list")
    assert (code, printed.splitlines()[1].split()) == (
        0,
        [NAME, "2026-01-12", "2026-01-30", "finished", "stop"],
    )
