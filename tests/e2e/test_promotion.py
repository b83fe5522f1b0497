"""Promotions and rollbacks as people do them: over REST, with Airflow's and MLflow's real parts.

The tests share one home and run in order; three releases under the same contracts take turns::

    none -> 1      approved by ana and sam
    2              rejected; marked and forged by hand; approved on stale evidence
    1 -> 3 -> 1    from the command line, and rolled back
    1 -> 2 or 3    both at once

The commands of docs/promotion.md are typed as they stand there.
"""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from deploy.layout import HOST
from tasks.cli import main
from tasks.errors import StoreError
from tasks.pipeline import retrain
from tasks.stores.audit import Entry, Kind
from tasks.stores.store import Store
from tests.docs.pages import DOCS, blocks, examples
from tests.e2e.installation import Installation
from tests.feeds.mini import AS_OF, NAME

PROMOTE, ROLLBACK, MODEL = f"{NAME}__promote", f"{NAME}__rollback", f"{NAME}.release"
PAGE = DOCS / "promotion.md"
REVIEWERS = {"product": "ana", "safety": "sam"}
BOTH = dict.fromkeys(REVIEWERS, "Approve")
SETTLED = 8  # seconds after which Airflow takes an answer for certain
ASKS, ENDED = "awaiting_input", ("success", "failed")


@pytest.fixture(scope="module")
def releases(installation: Installation) -> list[int]:
    """Releases as of three days, none of which is champion."""
    days = [AS_OF - timedelta(days=days) for days in (2, 1, 0)]
    return [retrain(installation.workspace, as_of=day).release for day in days]


def test_a_release_becomes_champion_when_a_reviewer_of_each_role_approves(
    installation: Installation, releases: list[int]
) -> None:
    run = start(installation, releases[0], "the first")
    waiting(installation, run, "product")
    for user in ("sam", "max", "eve"):
        with pytest.raises(StoreError, match="403"):
            installation.airflow(user).answer(PROMOTE, run, "approve_product", "Approve")
    evidence = installation.airflow().question(PROMOTE, run, "approve_product")["params"]["evidence"]
    answer(installation, run, BOTH)
    note = installation.succeed(PROMOTE, run)["note"]
    assert f"**Champion: none -> {releases[0]}**" in note
    assert "ana approves for product" in note
    assert aliases(installation) == {"champion": releases[0]}
    *approvals, moved = audit(installation)
    assert {(row.role, row.by) for row in approvals} == set(REVIEWERS.items())
    assert (moved.kind, moved.by, moved.why) == (Kind.PROMOTE, "ana, sam", "the first")
    assert {row.evidence for row in (*approvals, moved)} == {evidence["value"]}


def test_a_run_that_is_cleared_moves_nothing_again(installation: Installation, releases: list[int]) -> None:
    before, admin = audit(installation), installation.airflow()
    run = str(admin.runs(PROMOTE)[0]["dag_run_id"])
    admin.clear(PROMOTE, run, "move")
    assert f"**Champion: {releases[0]}**, nothing to do" in installation.succeed(PROMOTE, run)["note"]
    assert audit(installation) == before


def test_a_rejection_needs_a_reason_is_kept_and_moves_nothing(
    installation: Installation, releases: list[int]
) -> None:
    run = start(installation, releases[1], "fresher")
    answer(installation, run, {"product": "Approve"})
    waiting(installation, run, "safety")
    time.sleep(SETTLED)
    installation.airflow("sam").answer(PROMOTE, run, "approve_safety", "Reject")
    assert waiting(installation, run, "safety")["try_number"] > 1
    answer(installation, run, {"safety": "Reject"}, reason="hides rose")
    ended = installation.wait(PROMOTE, run)
    assert ended["state"] == "failed"
    assert f"sam rejects release {releases[1]} for safety: hides rose" in ended["note"]
    rejected = audit(installation)[-1]
    assert (rejected.kind, rejected.by, rejected.why) == (Kind.REJECT, "sam", "hides rose")
    assert aliases(installation) == {"champion": releases[0]}


def test_neither_a_step_marked_success_nor_a_forged_result_moves_anything(
    installation: Installation, releases: list[int]
) -> None:
    before, forger = audit(installation), installation.airflow("max")
    run = start(installation, releases[1], "nobody will look")
    for role, user in REVIEWERS.items():
        waiting(installation, run, role)
        forged = {"chosen_options": ["Approve"], "responded_by_user": {"id": user, "name": user}}
        entry = {"key": "return_value", "value": forged}
        forger._call(
            "POST", f"/api/v2/dags/{PROMOTE}/dagRuns/{run}/taskInstances/approve_{role}/xcomEntries", entry
        )
        forger.set_state(PROMOTE, run, f"approve_{role}", "success")
    ended = installation.wait(PROMOTE, run)
    assert ended["state"] == "failed"
    assert "Nobody approved for product: ana has to review" in ended["note"]
    assert audit(installation) == before
    assert aliases(installation) == {"champion": releases[0]}


def test_what_was_approved_beside_another_champion_is_refused(
    installation: Installation, releases: list[int]
) -> None:
    run = start(installation, releases[1], "fresher")
    for role in REVIEWERS:
        waiting(installation, run, role)
    ((*words,),) = documented("promote")
    assert main([*words, *where(installation)]) == 0  # the challenger, release 3
    answer(installation, run, BOTH)
    ended = installation.wait(PROMOTE, run)
    assert ended["state"] == "failed"
    assert "ana approved for product on evidence" in ended["note"]
    assert aliases(installation) == {"champion": releases[2], "previous": releases[0]}


def test_a_rollback_goes_back_once(installation: Installation, releases: list[int]) -> None:
    installation.ready(ROLLBACK)
    typed(2, installation, "sam")
    run = str(installation.airflow().runs(ROLLBACK)[0]["dag_run_id"])
    assert f"**Champion: {releases[2]} -> {releases[0]}**" in installation.succeed(ROLLBACK, run)["note"]
    made = audit(installation)[-1]
    assert (made.kind, made.by, made.why, made.champion) == (
        Kind.ROLLBACK,
        "sam",
        "returns rose",
        releases[2],
    )
    again = installation.run(ROLLBACK, {"why": "returns rose"}, user="sam")
    assert "nothing to do" in installation.succeed(ROLLBACK, again)["note"]
    for words in documented("rollback"):
        here = [str(releases[0]) if word == "1" else word for word in words]
        assert main([*here, *where(installation)]) == 0
    assert audit(installation)[-1] == made
    assert aliases(installation) == dict.fromkeys(("champion", "previous"), releases[0])


def test_of_two_promotions_at_once_exactly_one_wins(installation: Installation, releases: list[int]) -> None:
    typed(0, installation, "max")
    run = "promote-the-challenger"
    waiting(installation, run, "product")
    time.sleep(SETTLED)
    form = installation.airflow("ana").question(PROMOTE, run, "approve_product")["params"]
    shown = {name.upper(): str(form[name]["value"]) for name in ("version", "evidence")}
    assert shown["EVIDENCE"] in typed(1, installation, "ana", **shown)
    answer(installation, run, {"product": "Approve"})  # where Airflow asks again
    how = ["promote", NAME, str(releases[1]), "--why", "from the command line", *where(installation)]
    words = [sys.executable, "-m", "tasks.cli", *how]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as other:
        judging = _read_until("promote: evaluating", other)  # else it may begin when the other has ended
        answer(installation, run, {"safety": "Approve"})
        ended = installation.wait(PROMOTE, run)
        said = judging + other.communicate()[1]
    assert (ended["state"] == "success") != (other.returncode == 0), said
    won = releases[2] if ended["state"] == "success" else releases[1]
    assert aliases(installation) == {"champion": won, "previous": releases[0]}
    moves = [row for row in audit(installation) if row.moves]
    assert all(later.champion == earlier.release for earlier, later in pairwise(moves))


def _read_until(words: str, process: subprocess.Popen[str]) -> str:
    """Read what a process says until it says these words, or ends."""
    lines: list[str] = []
    assert process.stderr is not None
    for line in process.stderr:
        lines.append(line)
        if words in line:
            break
    return "".join(lines)


def test_the_history_tells_every_row(
    installation: Installation, releases: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    ((*words,),) = documented("release")
    assert main([*words, *where(installation)]) == 0
    told = [line for line in capsys.readouterr().out.splitlines() if line[:4].strip()]
    assert len(told) == len(audit(installation))
    assert told[2][27:] == f"promote   none -> {releases[0]}  by ana, sam"


@pytest.mark.parametrize("form", [{"release": "1"}, {"release": "1", "why": "  "}, {"why": "no release"}])
def test_a_form_without_a_release_or_a_reason_starts_nothing(
    installation: Installation, form: dict[str, str]
) -> None:
    with pytest.raises(StoreError, match="400"):
        installation.run(PROMOTE, form)


def start(installation: Installation, release: int, why: str) -> str:
    return installation.run(PROMOTE, {"release": str(release), "why": why}, user="max")


def waiting(installation: Installation, run: str, role: str) -> dict[str, Any]:
    """Wait until a role's reviewer is asked; return the step."""
    return installation.wait_for_step(PROMOTE, run, f"approve_{role}", ASKS)


def answer(installation: Installation, run: str, options: Mapping[str, str], **form: str) -> None:
    """Answer for some roles as their reviewers do, again where a step asks again."""
    while unanswered := [role for role in options if _heard(installation, run, role) == ASKS]:
        time.sleep(SETTLED)
        for role in unanswered:
            step = f"approve_{role}"
            installation.airflow(REVIEWERS[role]).answer(PROMOTE, run, step, options[role], **form)


def _heard(installation: Installation, run: str, role: str) -> str:
    return str(installation.wait_for_step(PROMOTE, run, f"approve_{role}", ASKS, *ENDED)["state"])


def documented(command: str) -> list[list[str]]:
    """Return the words of the page's examples of a command."""
    console = [found for block in blocks(PAGE) if block.language == "console" for found in examples(block)]
    return [found.words for found in console if found.words[0] == command]


def typed(block: int, installation: Installation, user: str, **variables: str) -> str:
    """Type a block of the page's shell commands as a user does; return what they print."""
    client = installation.airflow(user)
    client.runs(PROMOTE)  # logs in
    who = {"AIRFLOW": client.url, "NAME": user, "PASSWORD": client.password, "TOKEN": client.token}
    text = [found.text for found in blocks(PAGE) if found.language == "sh"][block]
    environment = {**os.environ, "no_proxy": HOST, **who, **variables}
    return subprocess.run(
        ["bash", "-euc", text], env=environment, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


def where(installation: Installation) -> list[str]:
    return ["--surfaces", str(installation.surfaces), "--home", str(installation.home)]


def audit(installation: Installation) -> list[Entry]:
    return list(Store.open(installation.home).audit(NAME).entries())


def aliases(installation: Installation) -> dict[str, int]:
    """Return the aliases as people see them in MLflow."""
    found = installation.mlflow.get_registered_model(MODEL).aliases
    return {alias: int(found[alias]) for alias in ("champion", "previous") if alias in found}
