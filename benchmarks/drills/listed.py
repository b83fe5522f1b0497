"""The drills, in the order of the page."""

import hashlib
import shutil
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from benchmarks.drills.drill import LOSES, Drilled, Shift
from benchmarks.killed.state import read_state
from benchmarks.kills import run_killed
from benchmarks.tour.airflow import approve_in
from benchmarks.tour.surface import REVIEWERS
from deploy.layout import Layout
from tasks.errors import StoreError
from tasks.labels.store import LabelStore
from tasks.pipeline import recheck
from tasks.promotion.moves.answers import Review
from tasks.promotion.moves.answers import answer as record_answer
from tasks.promotion.moves.request import make
from tasks.promotion.moves.rules import PromotionSupport
from tasks.stores.aliases import release_name
from tasks.stores.audit import Audit, Entry, Kind
from tasks.stores.database import database_of
from tasks.stores.location import listing
from tasks.stores.store import format_file
from tests.e2e.installation import run_make
from tests.feeds import mini
from tests.logs.postgres_server import running_server as postgresql
from tests.stores.mlflow_server import running_server as mlflow_server
from tests.stores.object_store import running_store

_SERVES: Final = "no release is made, no alias moves"
_AS_OF, _LATER = (f"{instant:%Y-%m-%dT%H:%M:%SZ}" for instant in (mini.AS_OF, mini.LATER))


def lose_mlflow_s_database(shift: Shift) -> Drilled:
    """Restore last night's database beside today's tables: a release and a promotion were made since."""
    mini.set_champion(shift.workspace, 1)
    night = shift.home.parent / "night"
    shift.equipoise("backup", "--out", str(night))
    shift.equipoise("retrain", mini.NAME, "--as-of", _LATER)
    made = shift.equipoise("release", "show", mini.NAME, "2").plain["digests"]
    sha256 = shift.workspace.store.registry.part(release_name(mini.NAME), 2).sha256
    row = Entry(Kind.PROMOTE, "ana", 2, 1, "better", "of no evidence")
    shift.workspace.aliases.add(lambda _, aliases: row if aliases.get("champion") == 1 else None)

    database = database_of(shift.home)
    for file in database.parent.glob(f"{database.name}*"):
        file.unlink()
    shutil.copyfile(database_of(night / "home"), database)
    shift.disaster()
    answer = shift.equipoise("release", "verify", mini.NAME, "champion")
    shift.equipoise("audit", "restart", mini.NAME, "--why", "MLflow's database is last night's")
    shift.equipoise("rollback", mini.NAME, "--to", "1", "--why", "the champion of last night")
    lost = [entry for entry in _audits_set_aside(shift) if entry.release == 2]
    shift.equipoise("retrain", mini.NAME, "--as-of", _LATER)
    again = shift.equipoise("release", "show", mini.NAME, "2", listed=False).plain["digests"]
    _require(again == made, "the release is made again, byte for byte")
    _require(sha256 in {row.sha256 for row in lost}, "the audit that was set aside names the lost release")
    return shift.ended(
        "MLflow's database is lost, and last night's backup of it is put in its place",
        meanwhile=_SERVES,
        message=str(answer.plain["problems"][0]),
        lost="runs and moves since the backup. The audit that is set aside names each release by its sha256; "
        "a retrain as of the same instant makes it again",
    )


def tear_the_newest_commit_of_the_labels(shift: Shift) -> Drilled:
    """Fill the newest commit of the label table with noise, as a disk that fails does."""
    mini.set_champion(shift.workspace, 1)
    store = LabelStore(shift.workspace.store, mini.NAME)
    before = store.find(None)
    commit = max(listing(store.path / "_delta_log", "*.json"))
    Path(commit).write_bytes(b"noise " * 100)
    shift.disaster()
    answer = shift.equipoise("labels", "show", mini.NAME)
    built = shift.equipoise("labels", "build", mini.NAME, "--as-of", _AS_OF)
    _require(built.code == 0, built.said)
    _require(built.plain["snapshot"] == before.id, "the build gives the snapshot of the same name")
    return shift.ended(
        "The newest commit of the label table is corrupt",
        meanwhile="labels are not read",
        message=answer.message,
        lost="nothing: the next build makes the same snapshot again",
    )


def kill_a_retrain(shift: Shift) -> Drilled:
    """Kill a retrain half-way, as a machine that dies does, and let another process run it again."""
    template = shift.homes.copy("promote", shift.home.parent / "undisturbed")
    expected = read_state(template, mini.NAME)
    words, said = shift.homes.words("retrain", shift.home), shift.home.parent / "said.txt"
    ended = run_killed(words, said, kill_when=lambda: _has_run(shift, "calibrate"))
    _require(ended == -signal.SIGKILL, f"the retrain is killed while it runs, and it ended with {ended}")
    shift.disaster()
    answer = shift.equipoise("retrain", mini.NAME, "--as-of", _AS_OF)
    _require(answer.code in {0, 1}, answer.said)
    found = read_state(shift.home, mini.NAME)
    _require(found == expected, "the release is the one of a retrain that was left alone")
    mini.set_champion(shift.workspace, 1)
    return shift.ended(
        "A machine dies during a retrain, and another one takes over",
        meanwhile=_SERVES.replace("no release is made", "the release comes later"),
        message="",
        lost="nothing: finished steps are not repeated, and the release has the same bytes. "
        "Airflow retries the step",
    )


def stop_postgresql_in_a_promotion(shift: Shift) -> Drilled:
    """Stop the PostgreSQL of MLflow once the audit has the row of a promotion, before an alias moves."""
    folder = shift.home.parent / "server"
    folder.mkdir()
    with postgresql() as database, mlflow_server(folder, database.address()) as server:
        shift.environment.update(server.environment)
        shift.equipoise("retrain", mini.NAME, "--as-of", _AS_OF)
        shift.environment[LOSES] = str(database.processes[-1].pid)
        asked = ("promote", mini.NAME, "1", "--why", "the first", "--by", "ana")
        answer = shift.equipoise(*asked)
        del shift.environment[LOSES]
        _require(answer.code == StoreError.exit_code, f"the promotion is refused: {answer.said}")
        database.processes[-1].wait(30)
        shift.disaster()
        database.start()
        shift.typed.append("# once PostgreSQL runs again")
        shift.equipoise(*asked)
        history = shift.equipoise("release", "history", mini.NAME, listed=False).plain
        _require([row["kind"] for row in history] == ["promote"], "the audit has one row of one promotion")
        return shift.ended(
            "PostgreSQL stops in the middle of a promotion",
            meanwhile=_SERVES,
            message=answer.message.partition(": API request")[0],
            lost="nothing: the audit has the row, and the next alias update carries it out",
        )


def let_the_object_store_be(manner: str, shift: Shift) -> Drilled:
    """Build labels while the object store that holds the tables is read-only, full or slow."""
    with running_store() as store, pytest.MonkeyPatch.context() as patch:
        tables = store.empty_bucket(patch) / "store"
        shift.environment.update(store.environment, EQUIPOISE_STORE=str(tables))
        patch.setenv("EQUIPOISE_STORE", str(tables))
        for folder in ("labels", "snapshots", "quarantine", "evidence", "shadow"):
            (tables / folder).take(shift.home / folder)
        mini.set_champion(shift.workspace, 1)
        before = shift.equipoise("labels", "show", mini.NAME).plain["snapshot"]
        store.shut()
        store.open(manner)
        shift.disaster()
        answer = shift.equipoise("labels", "build", mini.NAME, "--as-of", _LATER)
        shift.verified()
        if manner != "slow":
            _require(answer.code == StoreError.exit_code, f"the build is refused: {answer.said}")
            kept = shift.equipoise("labels", "show", mini.NAME, listed=False).plain["snapshot"]
            _require(kept == before, "the last snapshot is read")
            store.shut()
            store.open()
            shift.typed.append("# once it can be written again")
            answer = replace(
                answer, plain=shift.equipoise("labels", "build", mini.NAME, "--as-of", _LATER).plain
            )
        _require(answer.plain and answer.plain["snapshot"] != before, "the build is made")
        return shift.ended(
            f"The object store is {manner}",
            meanwhile="releases and the last snapshot can be read; Airflow retries the step",
            message=answer.message,
            lost="time: every request waited for a tenth of a second"
            if manner == "slow"
            else "nothing: a build is invisible before its commit",
        )


def lose_airflow_s_metadata(shift: Shift) -> Drilled:
    """Start Airflow without its database; a run that is gone had the approval of one of two reviewers."""
    support = PromotionSupport(why="the first")
    asked = make(shift.workspace, release=1, support=support, evaluate_gate=recheck)
    review = Review("product", REVIEWERS["product"], approves=True, evidence=asked.evidence)
    record_answer(shift.workspace, review, release=1, run="lost")
    layout, dag = Layout(shift.home, shift.homes.surfaces).with_free_ports(), f"{mini.NAME}__promote"
    shift.disaster()
    try:
        shift.typed += ["make up", f"# in Airflow: {dag} is started again, and every reviewer answers"]
        run_make("up", layout)
        approve_in(layout, lambda _: None)(shift.workspace, 1)
    finally:
        run_make("down", layout)
    drilled = shift.ended(
        "Airflow's database is lost while a promotion waits for its second reviewer",
        meanwhile=_SERVES,
        message="",
        lost="run history and which schedules are on: switch them on again. "
        "The new run asks every role again",
    )
    shift.equipoise("promote", mini.NAME, "1", "--why", "the first", "--by", "ana", listed=False)
    rows = [(row.kind, row.role) for row in shift.workspace.audit.entries() if row.run != "lost"]
    again = [(Kind.APPROVE, role) for role in REVIEWERS]
    _require(rows == [*again, (Kind.PROMOTE, None)], f"all are asked again, and one move is made: {rows}")
    return drilled


def open_a_home_of_another_format(shift: Shift) -> Drilled:
    """Open a home that a program of another format made, and make its champion again in a new home."""
    mini.set_champion(shift.workspace, 1)
    made = shift.equipoise("release", "show", mini.NAME, "1").plain["digests"]
    format_file(shift.home).write_text("0\n", encoding="utf-8")
    old, before = shift.home, _digests(shift.home)
    shift.disaster()
    refused = shift.equipoise("release", "show", mini.NAME, "champion")
    _require(refused.code == StoreError.exit_code, f"the home is refused: {refused.said}")
    _require(_digests(old) == before, "nothing in it is touched")
    shift.typed.append("# EQUIPOISE_HOME is a new folder, EQUIPOISE_LOGS the logs of the old home")
    shift.home, shift.environment["EQUIPOISE_LOGS"] = old.parent / "new", str(old / "logs")
    shift.equipoise("retrain", mini.NAME, "--as-of", _AS_OF)
    again = shift.equipoise("release", "show", mini.NAME, "1", listed=False).plain["digests"]
    _require(again == made, "the release is made again, byte for byte")
    shift.equipoise("promote", mini.NAME, "1", "--why", "the champion of the old home", "--by", "ana")
    return shift.ended(
        "A home of another format is opened",
        meanwhile="the home is not touched",
        message=refused.message.replace(str(old), "$EQUIPOISE_HOME"),
        lost="the audit and other releases: the program that made the old home reads them there. No command "
        "converts a home; a retrain as of the same instant makes the same release",
    )


def _digests(home: Path) -> dict[str, bytes]:
    files = (file for file in home.rglob("*") if file.is_file())
    return {str(file): hashlib.sha256(file.read_bytes()).digest() for file in files}


def _has_run(shift: Shift, step: str) -> bool:
    """Whether a step of the surface has begun in the home, by MLflow."""
    if not database_of(shift.home).exists():
        return False
    client = shift.workspace.store.client
    experiment = client.get_experiment_by_name(mini.NAME)
    return experiment is not None and bool(
        client.search_runs([experiment.experiment_id], f"tags.step = '{step}'", max_results=1)
    )


def _audits_set_aside(shift: Shift) -> list[Entry]:
    root = shift.home / "audit"
    names = [folder.name for folder in root.glob(f"{mini.NAME}.set-aside-*")]
    return [entry for name in names for entry in Audit(shift.home, name).entries()]


def _require(held: object, what: str) -> None:
    if not held:
        raise RuntimeError(f"The drill did not go as the page says: {what}")


DRILLS: Final[Mapping[str, tuple[str, Callable[[Shift], Drilled]]]] = {
    "database": ("promote", lose_mlflow_s_database),
    "labels": ("promote", tear_the_newest_commit_of_the_labels),
    "machine": ("retrain", kill_a_retrain),
    "postgresql": ("retrain", stop_postgresql_in_a_promotion),
    "airflow": ("promote", lose_airflow_s_metadata),
    "format": ("promote", open_a_home_of_another_format),
    "read-only store": ("promote", partial(let_the_object_store_be, "read-only")),
    "full store": ("promote", partial(let_the_object_store_be, "full")),
    "slow store": ("promote", partial(let_the_object_store_be, "slow")),
}
"""By name, the home that a drill begins in (``benchmarks.killed.homes``) and what happens there."""
