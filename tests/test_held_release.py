"""A release that its decision's own guardrails hold, from the command that makes it to the one that promotes it."""

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.cli import main
from tasks.stores.workspace import Workspace
from tests.feeds import mini
from tests.feeds.mini import AS_OF, NAME
from tests.verdicts import segment_of, subject_of

pytestmark = pytest.mark.e2e

FLOOR = {"metric": "click_30m_predicted", "max": 0.001, "action": "block"}
"""Nobody clicks as seldom: a bound that every release is outside of, whatever the chance of its data."""


def _with_floor(plain: dict[str, Any]) -> None:
    mini.utility_of_two(plain)
    plain["guardrails"].append(FLOOR)


@pytest.fixture(scope="module")
def workspace(mini_world: Path, mini_surfaces: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("held")
    whole = mini.with_log(mini_surfaces, mini_world, folder)
    return mini.changed(whole, folder, tasks=mini.two_tasks, surface=mini.surface_of_two, utility=_with_floor)


def _run(capsys: pytest.CaptureFixture[str], workspace: Workspace, *words: str) -> tuple[int, str, str]:
    where = ["--surfaces", str(workspace.surfaces), "--home", str(workspace.home)]
    code = main([*words, *where])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_a_guardrail_holds_a_release_in_every_command_and_it_never_serves(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = _run(capsys, workspace, "retrain", NAME, "--as-of", AS_OF.isoformat(), "--json")
    result = json.loads(out)
    assert (code, result["verdict"]) == (1, "hold")
    (blocked,) = [gate for gate in result["gates"] if gate["outcome"] == "block"]
    assert (blocked["gate"], subject_of(blocked), segment_of(blocked)) == (
        "decision",
        "click_30m_predicted",
        "all",
    )
    assert blocked["observed"]["value"] > FLOOR["max"]
    (reason,) = result["reasons"]
    assert reason.startswith("decision: predicted click_30m rate ")
    assert "predicted click_30m rate" in Path(result["dossier"]).read_text(encoding="utf-8")
    code, _, err = _run(capsys, workspace, "promote", NAME, "1", "--why", "it looks good", "--by", "ana")
    assert code == 1
    assert "predicted click_30m rate" in err
    assert workspace.store.registry.aliases(f"{NAME}.release") == {"challenger": 1}
