"""A release on its way to all of the traffic, in Airflow, past a gate that holds it; and an audit that is broken.

The tests share one home and run in order::

    champion 1, and 2, which shadow holds
    2 held by data, too           refused, whatever override is asked for, and nobody is asked
    3 leaks by its own kernel     refused, whatever override is asked for, and nobody is asked
    2 held by shadow              the canary, by an override      then champion, asked anew
    rows of the audit             removed, changed, reordered: found everywhere, and brought back
    an alias moved by hand        found everywhere, and put right by one rollback
"""

import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tasks.cli import main
from tasks.pipeline import retrain
from tasks.stores import delta
from tasks.stores.audit import SCHEMA, Entry, Kind
from tasks.stores.store import Store
from tasks.stores.workspace import Workspace
from tests.e2e.installation import Installation
from tests.feeds import mini
from tests.feeds.leaking_kernel import retrain_leaking
from tests.feeds.staged_feed import NAME, REVIEWERS
from tests.stores.local_path import local

pytestmark = pytest.mark.xdist_group("own_surfaces")
PROMOTE, RETRAIN, MODEL = f"{NAME}__promote", f"{NAME}__retrain", f"{NAME}.release"
WHY = "the sale of the year begins tonight"
SETTLED = 8  # seconds after which Airflow takes an answer for certain
ASKS, ENDED = "awaiting_input", ("success", "failed")

Run = Callable[..., tuple[int, str]]
Rows = Sequence[Entry]


@pytest.fixture(scope="module")
def staged(installation: Installation) -> Workspace:
    """A champion, and a newer release that makes other slates, which the shadow gate allows nobody."""
    workspace = Workspace.open(NAME, surfaces=installation.surfaces, home=installation.home)
    ended = workspace.contracts.surface.ends_at
    assert ended is not None
    retrain(workspace, as_of=ended - timedelta(days=1))
    mini.set_champion(workspace, 1)
    held = retrain(workspace, as_of=ended)
    assert (held.release, held.verdict) == (2, "hold")
    assert any("overlap with the champion's slots" in reason for reason in held.reasons)
    return workspace


@pytest.fixture
def typed(installation: Installation, capsys: pytest.CaptureFixture[str]) -> Run:
    """Type a command of `equipoise`; return its exit code, and what it printed."""

    def run(*words: str) -> tuple[int, str]:
        where = ["--surfaces", str(installation.surfaces), "--home", str(installation.home)]
        code = main([*words, *where])
        printed = capsys.readouterr()
        return code, " ".join(f"{printed.out} {printed.err}".split())

    return run


def test_what_is_for_nobody_to_override_is_refused_and_nobody_is_asked(
    installation: Installation, staged: Workspace, typed: Run
) -> None:
    before = audit(staged)
    with changed_surface(staged, too_few_rows):
        run = start(installation, override=WHY)
        ended = installation.wait(PROMOTE, run)
    assert ended["state"] == "failed"
    assert "lead may lift model, calibration, decision, shadow, and never this: data:" in ended["note"]
    states = {one["task_id"]: one["state"] for one in installation.airflow().instances(PROMOTE, run)}
    assert {states[f"approve_{role}"] for role in REVIEWERS} == {"upstream_failed"}
    code, _ = typed("promote", NAME, "2", "--why", "a sale", "--override", WHY)
    assert code == 1, "nobody has approved"
    registry = Store.open(staged.home).registry
    part = registry.part(MODEL, 2)
    made = registry.tags(part)["as_of"]
    registry.set_tags(part, {"as_of": "2031-01-01T00:00:00Z"})
    code, output = typed("release", "verify", NAME, "2")
    registry.set_tags(part, {"as_of": made})
    assert (code, "tag as_of says 2031" in output) == (1, True), output
    assert audit(staged) == before


def test_a_leak_of_a_hard_constraint_is_refused_by_name_and_count_whatever_is_asked_for(
    installation: Installation, staged: Workspace, typed: Run
) -> None:
    """Release 3 is whole to the byte; the kernel that it brought filters nothing."""
    before, ended = audit(staged), staged.contracts.surface.ends_at
    assert ended is not None
    made = retrain_leaking(staged, as_of=ended)
    assert (made.release, made.verdict) == (3, "hold")
    leak = made.reasons[0].partition(" (")[0]
    found = re.fullmatch(r"constraints: policy_violation in the slots ([1-9][\d,]*)", leak)
    assert found is not None, leak
    count = found[1]
    assert typed("release", "verify", NAME, "3")[0] == 0, "no digest tells it"
    run = start(installation, release="3", override=WHY)
    refused = installation.wait(PROMOTE, run)
    assert refused["state"] == "failed"
    never = f"lead may lift model, calibration, decision, shadow, and never this: {leak}"
    assert refused["note"].startswith(f"**Failed** at request: `GateRefused: {never}")
    steps = {one["task_id"]: one for one in installation.airflow().instances(PROMOTE, run)}
    assert (steps["request"]["state"], steps["request"]["try_number"]) == ("failed", 1), (
        "trying again finds the same"
    )
    assert {steps[f"approve_{role}"]["state"] for role in REVIEWERS} == {"upstream_failed"}
    code, output = typed("promote", NAME, "3", "--why", "a sale", "--override", WHY)
    assert (code, "Nobody approved for product" in output) == (1, True), output
    code, output = typed("promote", NAME, "3", "--why", "a sale")
    assert (code, "Nobody approved for product" in output) == (1, True), output
    code, output = typed("simulate", NAME, "--release", "3")
    assert (code, f"block policy_violation all {count} <= 0 in its slots" in output) == (1, True), output
    page = installation.airflow("eve").open(f"{NAME}/releases/3/dossier").text
    assert f"policy_violation in the slots {count} (" in page
    assert "no override lifts it" in page
    assert (aliases(installation), audit(staged)) == ({"champion": 1}, before)


def test_an_override_lets_it_be_the_canary_when_each_role_approves_it(
    installation: Installation, staged: Workspace
) -> None:
    before = len(audit(staged))
    run = start(installation, override=WHY)
    question = waiting(installation, run, "lead")
    assert question["subject"] == f"{NAME}: may release 2 be the canary by an override? (lead)"
    assert "overlap with the champion's slots" in question["body"]
    approve(installation, run)
    note = installation.succeed(PROMOTE, run)["note"]
    assert "**Canary: 2** compared with champion 1, 25% of the users" in note
    assert aliases(installation) == {"champion": 1, "canary": 2}
    assert tags(installation)["canary_share"] == "0.25", "whoever serves reads the share there"
    *answers, moved = audit(staged)[before:]
    assert {(row.kind, row.role, row.by) for row in answers} == {
        (Kind.APPROVE, role, user) for role, user in REVIEWERS.items()
    }
    assert (moved.kind, moved.release, moved.champion, moved.share) == (Kind.CANARY, 2, 1, 0.25)
    assert moved.override is not None
    assert moved.override.startswith(f"{WHY} (lead lifts ")
    page = installation.airflow("eve").open(NAME).text
    assert "canary: release 2 compared with champion 1, 25% of the users, by an override" in page


def test_the_canary_becomes_champion_when_each_role_approves_once_more(
    installation: Installation, staged: Workspace, typed: Run
) -> None:
    ended = Entry(Kind.RAMPED, "equipoise ramp", 2, 1, "no guardrail is harmed")
    staged.aliases.add(lambda *_: ended)
    before = len(audit(staged))
    run = start(installation, override=WHY, stage="champion")
    approve(installation, run)
    assert "**Champion: 1 -> 2**" in installation.succeed(PROMOTE, run)["note"]
    assert aliases(installation) == {"champion": 2, "previous": 1}
    *answers, moved = audit(staged)[before:]
    assert sorted(row.by for row in answers) == sorted(REVIEWERS.values()), (
        "what they answered before is used up"
    )
    assert {row.evidence for row in answers} == {moved.evidence}
    assert moved.kind is Kind.PROMOTE
    printed = tags(installation)
    assert "canary_share" not in printed
    assert printed["override"] == moved.override
    version = installation.mlflow.get_model_version(MODEL, "2")
    assert str(version.description).startswith(f"**Overridden**: {WHY}")
    assert WHY in installation.airflow("eve").open(f"{NAME}/releases/2/dossier").text
    code, output = typed("release", "history", NAME)
    assert (code, f"override: {WHY}" in output) == (0, True)


TAMPERED: dict[str, Callable[[Rows], list[Entry]]] = {
    "removed": lambda rows: [replace(row, number=n) for n, row in enumerate([rows[0], *rows[2:]])],
    "changed": lambda rows: [rows[0], replace(rows[1], by="eve"), *rows[2:]],
    "reordered": lambda rows: [rows[0], replace(rows[2], number=1), replace(rows[1], number=2), *rows[3:]],
}


@pytest.mark.parametrize("how", TAMPERED)
def test_a_row_that_was_tampered_with_is_found_by_verify_on_the_page_and_by_a_promotion(
    installation: Installation, staged: Workspace, typed: Run, how: str
) -> None:
    with tampered_audit(staged, TAMPERED[how]):
        code, output = typed("release", "verify", NAME, "champion")
        assert (code, "is not what was written: row 1, or a row before it" in output) == (1, True), output
        code, output = typed("promote", NAME, "1", "--why", "back again")
        assert (code, "is not what was written" in output, "from a backup" in output) == (3, True, True), (
            output
        )
        alert = installation.airflow("eve").open(NAME).text.partition('role="alert">')[2]
        assert "is not what was written: row 1" in alert.partition("</p>")[0]
    assert typed("release", "verify", NAME, "champion")[0] == 0


def test_runs_in_airflow_say_that_the_audit_is_broken(installation: Installation, staged: Workspace) -> None:
    with tampered_audit(staged, TAMPERED["changed"]):
        assert_runs_notice(installation, "is not what was written")
    assert aliases(installation) == {"champion": 2, "previous": 1}


def test_an_alias_moved_by_hand_is_noticed_everywhere_and_one_rollback_puts_it_right(
    installation: Installation, staged: Workspace, typed: Run
) -> None:
    by_hand = f"Somebody updated an alias of {MODEL} by hand"
    installation.mlflow.set_registered_model_alias(MODEL, "champion", "1")
    code, output = typed("release", "verify", NAME, "champion")
    assert (code, by_hand in output) == (1, True)
    alert = installation.airflow("eve").open(NAME).text.partition('role="alert">')[2]
    assert by_hand in alert
    assert_runs_notice(installation, by_hand)
    code, output = typed("rollback", NAME, "--to", "2", "--why", "nobody approved that")
    assert code == 0, output
    assert aliases(installation) == {"champion": 2, "previous": 2}
    assert typed("release", "verify", NAME, "champion")[0] == 0


def assert_runs_notice(installation: Installation, problem: str) -> None:
    """The next retrain warns of it before it trains; a promotion ends at its first try and says it."""
    promotion = start(installation)
    run = installation.run(RETRAIN)
    ended = installation.wait(PROMOTE, promotion)
    assert ended["state"] == "failed"
    assert ended["note"].startswith("**Failed** at request: `AuditMismatch: ")
    assert problem in ended["note"]
    (case,) = [
        one for one in installation.airflow().instances(PROMOTE, promotion) if one["task_id"] == "request"
    ]
    assert case["try_number"] == 1, "trying again finds the same"
    installation.wait_for_step(RETRAIN, run, "plan", *ENDED)
    assert problem in installation.airflow().note_of(RETRAIN, run, "plan")
    installation.airflow().give_up(RETRAIN, "It has shown that it warns.")


def start(installation: Installation, **asked: str) -> str:
    return installation.run(PROMOTE, {"release": "2", "why": "fresher"} | asked, user="max")


def waiting(installation: Installation, run: str, role: str) -> dict[str, Any]:
    """Wait until a role's reviewer is asked; return what they are asked."""
    installation.wait_for_step(PROMOTE, run, f"approve_{role}", ASKS)
    return installation.airflow().question(PROMOTE, run, f"approve_{role}")


def approve(installation: Installation, run: str) -> None:
    """Answer for every role as its reviewer does, again where a step asks again."""
    for role in REVIEWERS:
        installation.wait_for_step(PROMOTE, run, f"approve_{role}", ASKS)
    time.sleep(SETTLED)
    for role, user in REVIEWERS.items():
        step = f"approve_{role}"
        while installation.wait_for_step(PROMOTE, run, step, ASKS, *ENDED)["state"] == ASKS:
            installation.airflow(user).answer(PROMOTE, run, step, "Approve")
            time.sleep(2)


def too_few_rows(plain: dict[str, Any]) -> None:
    """Let no test slice be large enough, and what is inconclusive hold."""
    plain["gates"]["data"]["rows"] = 10**9
    plain["gates"]["inconclusive"] = "hold"


@contextmanager
def changed_surface(workspace: Workspace, change: mini.Change) -> Iterator[None]:
    file = workspace.surfaces / NAME / "surface.yaml"
    kept = file.read_text(encoding="utf-8")
    mini.rewrite(file, change)
    yield
    file.write_text(kept, encoding="utf-8")


@contextmanager
def tampered_audit(workspace: Workspace, change: Callable[[Rows], list[Entry]]) -> Iterator[None]:
    """Put other rows in the place of the audit, as whoever may write to the store can; then the true ones."""
    folder, rows = local(workspace.store.audit(NAME).path), audit(workspace)
    kept = Path(shutil.move(folder, folder.with_name("kept")))
    table = pa.Table.from_pylist([asdict(row) for row in change(rows)], schema=SCHEMA)
    delta.append_after(folder, table, version=None)
    yield
    shutil.rmtree(folder)
    shutil.move(kept, folder)


def audit(workspace: Workspace) -> tuple[Entry, ...]:
    return workspace.store.audit(NAME).entries()


def aliases(installation: Installation) -> dict[str, int]:
    """Return the aliases as people see them in MLflow."""
    found = installation.mlflow.get_registered_model(MODEL).aliases
    return {alias: int(version) for alias, version in found.items() if alias != "challenger"}


def tags(installation: Installation) -> dict[str, str]:
    return dict(installation.mlflow.get_model_version(MODEL, "2").tags)
