"""A reviewer answers on the command line under their own account, where the surface allows it."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tasks.cli import main
from tasks.errors import ContractError, GateRefused
from tasks.promotion.moves import approve
from tasks.promotion.moves.answers import Review
from tasks.promotion.moves.approve import ApproveResult, account_name
from tasks.stores.audit import Kind
from tasks.stores.store import Store
from tasks.stores.workspace import Workspace
from tests.feeds import mini
from tests.feeds.mini import NAME
from tests.promotion.moves.moving import TESTED, evaluate_once, moves, promote_2


def by_account(plain: dict[str, Any]) -> None:
    plain["promotion"] = {"approvals_on_command_line": "by_account"}


@pytest.fixture
def there(workspace: Workspace, tmp_path: Path) -> Workspace:
    return mini.changed(workspace, tmp_path, surface=by_account)


def reply(workspace: Workspace, by: str, role: str, **said: Any) -> ApproveResult:
    given = Review(role, by, **{"approves": True, "evidence": "", "why": "it is sound", **said})
    return approve.run(workspace, given, release="challenger", support=TESTED, evaluate_gate=evaluate_once)


def test_each_reviewer_answers_and_then_the_command_line_promotes(there: Workspace) -> None:
    with pytest.raises(
        GateRefused, match="let each type `equipoise approve home_feed 2 --role ROLE --why TEXT"
    ) as asked:
        promote_2(there)
    assert "--promotion-why 'carts rose' --experiment feed-142" in str(asked.value)
    first, second = reply(there, "ana", "product"), reply(there, "sam", "safety")
    assert (first.release, first.champion, first.evidence) == (2, 1, second.evidence)
    moved = promote_2(there).moved
    assert moved is not None
    assert moved.signed == "ana for product, sam for safety"
    kept = Store.open(there.home).audit(NAME).entries()[1]
    assert (kept.kind, kept.by, kept.role, kept.why, kept.run) == (
        Kind.APPROVE, "ana", "product", "it is sound", "",
    )  # fmt: skip


def test_the_name_is_the_accounts_own_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("USER", "LOGNAME", "LNAME", "USERNAME"):
        monkeypatch.setenv(variable, "sam")
    own = subprocess.run(["id", "-un"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    assert account_name() == own


def test_an_account_that_is_no_reviewers_answers_nothing(
    there: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--surfaces", str(there.surfaces), "--home", str(there.home)]
    assert main(["approve", NAME, "2", "--role", "safety", "--why", "it is sound", *where]) == 2
    assert f"{account_name()} is not a reviewer for safety; surface.yaml names sam" in capsys.readouterr().err
    assert len(moves(there)) == 1


def test_a_surface_that_allows_none_takes_none(workspace: Workspace, tmp_path: Path) -> None:
    def nothing(plain: dict[str, Any]) -> None:
        plain["promotion"] = {}

    with pytest.raises(ContractError, match="takes no approvals on the command line"):
        reply(mini.changed(workspace, tmp_path, surface=nothing), "ana", "product")


@pytest.mark.parametrize("why", ["", " \n"])
def test_an_answer_needs_a_reason(there: Workspace, why: str) -> None:
    with pytest.raises(ContractError, match="needs a reason"):
        reply(there, "ana", "product", why=why)


def test_a_reviewer_who_names_what_they_saw_does_not_approve_anything_else(there: Workspace) -> None:
    seen = reply(there, "ana", "product").evidence
    with pytest.raises(GateRefused, match=r"is .* now, not 000000: review it again"):
        reply(there, "sam", "safety", evidence="000000")
    assert reply(there, "sam", "safety", evidence=seen[:12]).evidence == seen


def test_a_reviewer_may_say_no(there: Workspace) -> None:
    reply(there, "ana", "product")
    reply(there, "sam", "safety", approves=False, why="reports rose")
    with pytest.raises(GateRefused, match="sam rejects the release for safety: reports rose"):
        promote_2(there)
