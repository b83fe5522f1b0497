"""Newer data hides a worse recipe from the comparison with the champion, and not from that of the same day.

::

    days 0 to 12    people clicked what was cheap: all that the champion learned from
    days 13 to 45   they click what is dear: what is learned, calibrated and tested after the champion
    worse           the champion's recipe without the price, and shallow

The champion orders the newest days the wrong way round, so that whatever is trained on them beats it.
"""

import json
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from math import nan
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tasks.calibration import step as calibrate
from tasks.columns import REQUEST_ID, SHOWN_AT, USER_ID
from tasks.contracts import digest
from tasks.contracts.gates import ModelGate
from tasks.errors import ContractError, StoreError
from tasks.evaluation.evidence import ChampionComparison, PinnedModel
from tasks.evaluation.paired import PairedRows, auc_by_request_drop
from tasks.evaluation.resampling import users_of
from tasks.evaluation.subjects import ALL, SAME_DAY
from tasks.evaluation.verdicts import Estimate, Outcome, Verdict
from tasks.labels import build as labels
from tasks.labels.store import LabelStore
from tasks.logs.tables import to_frame
from tasks.promotion.gates.gains import evaluate_recipes, evaluate_same_day
from tasks.promotion.provenance import read_recipes
from tasks.release import step as release
from tasks.release.parts import Trained
from tasks.release.view import ReleaseReader
from tasks.stores.audit import Entry, Kind
from tasks.stores.manifest import Part
from tasks.stores.tracking import PatientClient
from tasks.stores.workspace import Workspace
from tasks.training import same_day
from tasks.training import step as train
from tasks.training.inputs import TRAINING_RECIPE
from tasks.training.rows import TaskRows, read_labels
from tasks.training.same_day import SameDayEvidence
from tasks.training.step import TrainResult
from tasks.training.trees import predict_rows, read_model
from tests.feeds import small_feed
from tests.feeds.small_feed import AS_OF, CLICKS_AND_PURCHASES, FIRST, NAME, SURFACE
from tests.stores.killed import killed_in
from tests.stores.mlflow_home import new_home
from tests.stores.plain_evidence import read_plain

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("same_day")]
CLICK, BUY = "click_1d", "buy_2d"
TURNS = FIRST + timedelta(days=13)
FIRST_AS_OF = AS_OF - timedelta(days=13)
UTILITY = small_feed.UTILITY.replace(", back_2d: -5.0", "").replace("back_2d_rate", "buy_2d_rate")
WORSE = (
    SURFACE.replace("version: 1", "version: 2")
    .replace("[price, age]", "[age]")
    .replace("num_leaves: 7", "num_leaves: 4")
)


@dataclass(frozen=True)
class Home:
    """A home whose champion is of days ago, and what was trained beside it under a worse recipe."""

    workspace: Workspace
    worse: Workspace
    snapshot: str
    first: Part
    model: Part

    def rows(self, workspace: Workspace) -> TaskRows:
        return TaskRows.open(workspace, task=CLICK, as_of=AS_OF, snapshot=self.snapshot)

    @property
    def comparisons(self) -> list[str]:
        """The runs that compared recipes."""
        client = self.workspace.store.registry.client
        experiment = client.get_experiment_by_name(NAME).experiment_id
        found = client.search_runs([experiment], f"tags.step = '{same_day.SAME_DAY.name}'")
        return [run.info.run_id for run in found]

    @property
    def models(self) -> int:
        return len(self.workspace.store.registry.versions(self.model.name))


def turn_the_days_before(instant: datetime, logs: Path) -> None:
    """Let what was dear be cheap before an instant with the same outcomes, and one user be unknown."""
    file = logs / NAME / "impressions" / "a.parquet"
    table = pq.read_table(file)
    before = pc.less(table.column(SHOWN_AT), pa.scalar(instant))
    price = pc.if_else(before, pc.subtract(1.0, table.column("price")), table.column("price"))
    table = table.set_column(table.schema.get_field_index("price"), "price", price)
    user = table.column(USER_ID)
    unnamed = pc.if_else(pc.equal(user, "u7"), None, user)
    pq.write_table(table.set_column(table.schema.get_field_index(USER_ID), USER_ID, unnamed), file)


def under(folder: Path, home: Path, surface: str, **changed: str) -> Workspace:
    files = {"surface": surface, "tasks": CLICKS_AND_PURCHASES, "utility": UTILITY, **changed}
    return Workspace.open(NAME, surfaces=small_feed.write_contracts(folder, **files), home=home)


def published(workspace: Workspace, as_of: datetime) -> str:
    snapshot = labels.run(workspace, as_of=as_of).snapshot
    LabelStore(workspace.store, NAME).publish(snapshot, report="report.html", severity="none")
    return snapshot


def trained(workspace: Workspace, task: str, as_of: datetime, snapshot: str) -> Trained:
    model = train.run(workspace, task=task, as_of=as_of, snapshot=snapshot)
    fitted = calibrate.run(workspace, task=task, as_of=as_of, snapshot=snapshot, model_version=model.version)
    return Trained(task, model.version, fitted.version)


def lead(workspace: Workspace, version: int) -> None:
    entry = Entry(Kind.PROMOTE, "ana", version, None, "the first champion", "of no evidence")
    workspace.aliases.add(lambda entries, aliases: None if entries else entry)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    folder = tmp_path_factory.mktemp("same_day")
    small_feed.write_logs(folder / "home/logs")
    turn_the_days_before(TURNS, folder / "home/logs")
    workspace = under(folder / "surfaces", new_home(folder / "home"), SURFACE)
    snapshot = published(workspace, FIRST_AS_OF)
    parts = [trained(workspace, task, FIRST_AS_OF, snapshot) for task in (CLICK, BUY)]
    release.run(workspace, as_of=FIRST_AS_OF, snapshot=snapshot, parts=parts)
    lead(workspace, 1)
    worse = under(folder / "worse", workspace.home, WORSE)
    snapshot = published(worse, AS_OF)
    clicks = trained(worse, CLICK, AS_OF, snapshot)
    release.run(worse, as_of=AS_OF, snapshot=snapshot, parts=[clicks])
    registry, name = workspace.store.registry, train.model_name(NAME, CLICK)
    first, model = (registry.part(name, version) for version in (1, clicks.model_version))
    return Home(workspace, worse, snapshot, first, model)


def found(home: Home, model: Part) -> SameDayEvidence:
    run = home.workspace.store.runs.newest(NAME, step=same_day.SAME_DAY.name, model=model.version)
    assert run is not None
    return home.workspace.store.runs.read_evidence(run, SameDayEvidence)


def part_of(result: TrainResult) -> Part:
    return Part(result.model, result.version, result.sha256)


def judged(home: Home) -> dict[str, Verdict]:
    pairs = read_recipes(ReleaseReader(home.worse), 2, champion=1)
    verdicts = [evaluate_same_day(pairs, run="release"), *evaluate_recipes(ModelGate(), pairs)]
    return {str(verdict.subject): verdict for verdict in verdicts if verdict.segment == ALL}


def lost_order(home: Home, old: Part, new: Part) -> Estimate:
    """Return the drop in AUC by request between two registered models, on the test rows."""
    rows, registry = home.rows(home.workspace), home.workspace.store.registry
    table = rows.test
    test = rows.slices.test
    before, after = (predict_rows(rows, test, *read_model(registry.files(part))) for part in (old, new))
    users, requests = users_of(to_frame(table)), table.column(REQUEST_ID).to_pylist()
    return auc_by_request_drop(PairedRows(read_labels(table, CLICK), before, after, users, requests))[0]


def test_newer_data_lets_a_worse_recipe_win_against_the_champion(home: Home) -> None:
    assert lost_order(home, home.first, home.model).high < 0


def test_against_the_champions_recipe_of_the_same_day_it_is_held(home: Home) -> None:
    verdicts = judged(home)
    order, error = (
        verdicts[f"{CLICK}.{metric} vs {SAME_DAY}"]
        for metric in ("auc_by_request_drop", "normalized_entropy_rise")
    )
    assert (order.outcome, error.outcome) == (Outcome.BLOCK, Outcome.BLOCK)
    assert order.observed is not None
    assert order.observed.low > 0.05, "the price tells most of what is clicked"
    assert {order.evidence, error.evidence} <= {*home.comparisons}
    row = verdicts["same_day_champion"]
    assert (row.outcome, row.evidence) == (Outcome.NO_RULE, "release")
    assert row.reason.endswith(f"compared with it as of the same day: {CLICK}")


def test_a_segment_that_the_worse_recipe_harms_is_named_too(home: Home) -> None:
    """Every category lost the price: the whole is held, and each of them by its name."""
    pairs = read_recipes(ReleaseReader(home.worse), 2, champion=1)
    verdicts = [one for one in evaluate_recipes(ModelGate(), pairs) if one.segment != ALL]
    assert {one.outcome for one in verdicts} == {Outcome.BLOCK}
    assert {one.evidence for one in verdicts} <= {*home.comparisons}
    named = {one.segment for one in verdicts}
    evidence = found(home, home.model)
    assert evidence.comparison is not None
    told = {one.segment for one in evidence.comparison.segments}
    assert {one.column for one in told} == {"item_age", "category"}
    assert {one for one in told if one.column == "category"} & named


def test_the_evidence_says_what_was_trained_and_on_which_days(home: Home) -> None:
    evidence, rows = found(home, home.model), home.rows(home.worse)
    assert (evidence.task, evidence.model.version, evidence.reason) == (CLICK, home.model.version, "")
    assert evidence.recipe == home.workspace.store.registry.tags(home.first)[TRAINING_RECIPE]
    assert evidence.rows == len(rows.test)
    assert evidence.slices is not None
    assert evidence.slices["test"] == (rows.slices.test.first, rows.slices.test.last)
    assert (evidence.rounds or 0) > 5


def test_what_was_trained_to_compare_is_registered_nowhere(home: Home) -> None:
    versions = home.workspace.store.registry.versions(home.model.name)
    assert {home.first, home.model} <= {*versions}
    runs = {home.workspace.store.registry.run_id(part) for part in versions}
    assert not runs & {*home.comparisons}


def test_a_model_keeps_the_recipe_that_its_tag_is_the_digest_of(home: Home) -> None:
    registry = home.workspace.store.registry
    for part in (home.first, home.model):
        kept = read_plain(home.workspace.home, registry.run_id(part))["recipe"]
        assert digest(kept) == registry.tags(part)[TRAINING_RECIPE]


def test_a_second_time_nothing_is_trained_or_compared(home: Home) -> None:
    before = home.models, home.comparisons
    again = train.run(home.worse, task=CLICK, as_of=AS_OF, snapshot=home.snapshot)
    assert (again.reused, again.version) == (True, home.model.version)
    assert (home.models, home.comparisons) == before


def test_the_recipe_of_the_champion_is_compared_with_nothing_and_is_what_the_other_was_held_against(
    home: Home,
) -> None:
    before = home.comparisons
    same = train.run(home.workspace, task=CLICK, as_of=AS_OF, snapshot=home.snapshot)
    assert not same.reused
    assert home.comparisons == before
    evidence = found(home, home.model)
    assert evidence.comparison is not None
    assert evidence.comparison.auc_by_request_drop == lost_order(home, part_of(same), home.model)


def test_a_comparison_that_was_killed_is_made_on_the_second_run(home: Home, tmp_path: Path) -> None:
    shallow = under(tmp_path, home.workspace.home, SURFACE.replace("num_leaves: 7", "num_leaves: 2"))
    before = {*home.comparisons}
    step = same_day.SAME_DAY.name
    with killed_in(
        PatientClient, "log_text", where=lambda client, run, *_: client.get_run(run).data.tags["step"] == step
    ):
        train.run(shallow, task=CLICK, as_of=AS_OF, snapshot=home.snapshot)
    models = home.models
    assert train.run(shallow, task=CLICK, as_of=AS_OF, snapshot=home.snapshot).reused
    assert home.models == models
    client = home.workspace.store.registry.client
    ends = sorted(client.get_run(run).info.status for run in {*home.comparisons} - before)
    assert ends == ["FAILED", "FINISHED"]


def test_a_comparison_whose_run_was_lost_is_made_again_to_the_byte(home: Home) -> None:
    evidence = found(home, home.model)
    client = home.workspace.store.registry.client
    (run,) = [run for run in home.comparisons if client.get_run(run).data.tags["model"] == "2"]
    client.set_terminated(run, "KILLED")
    again = same_day.run(home.rows(home.worse), home.model)
    assert again not in {None, run}
    assert found(home, home.model).to_json() == evidence.to_json()


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        (
            {
                "tasks": CLICKS_AND_PURCHASES.replace(
                    "event: click, within: P1D", "event: click, within: PT6H"
                )
            },
            "the champion's click_1d has another outcome definition",
        ),
        (
            {
                "surface": SURFACE + "training: {click_1d: {objective: lambdarank}}\n",
                "utility": UTILITY.replace("click_1d: 1.0, ", ""),
            },
            "predicts another event, or on other rows",
        ),
    ],
    ids=["another outcome", "another head"],
)
def test_what_cannot_be_compared_says_why(
    home: Home, tmp_path: Path, changed: dict[str, str], why: str
) -> None:
    workspace = under(tmp_path, home.workspace.home, **{"surface": SURFACE, **changed})
    snapshot = published(workspace, AS_OF)
    result = train.run(workspace, task=CLICK, as_of=AS_OF, snapshot=snapshot)
    evidence = found(home, part_of(result))
    assert evidence.comparison is None
    assert why in evidence.reason


def test_where_a_warm_start_is_asked_for_both_recipes_continue_the_same_model(
    home: Home, tmp_path: Path
) -> None:
    """The champion's recipe was learned in full; beside it a warm start would be credited with its trees."""
    continued = "training: {click_1d: {warm_start: true}}\n"
    surfaces = SURFACE + continued, SURFACE.replace("num_leaves: 7", "num_leaves: 3") + continued
    same, shallow = (
        part_of(
            train.run(
                under(tmp_path / str(number), home.workspace.home, surface),
                task=CLICK,
                as_of=AS_OF,
                snapshot=home.snapshot,
            )
        )
        for number, surface in enumerate(surfaces)
    )
    evidence = found(home, shallow)
    assert evidence.comparison is not None
    assert evidence.comparison.auc_by_request_drop == lost_order(home, same, shallow)


def test_a_feature_that_the_log_no_longer_has_is_named(home: Home, tmp_path: Path) -> None:
    file = home.workspace.home / "logs" / NAME / "impressions" / "a.parquet"
    whole = pq.read_table(file)
    workspace = under(tmp_path, home.workspace.home, WORSE.replace("num_leaves: 4", "num_leaves: 3"))
    pq.write_table(whole.drop_columns(["price"]), file)
    try:
        snapshot = published(workspace, AS_OF)
        result = train.run(workspace, task=CLICK, as_of=AS_OF, snapshot=snapshot)
    finally:
        pq.write_table(whole, file)
    evidence = found(home, part_of(result))
    assert evidence.reason == "the log no longer has the champion's price"


DAYS = (date(2026, 1, 1), date(2026, 1, 7))


def evidence() -> SameDayEvidence:
    return SameDayEvidence(
        surface="feed",
        task="click",
        as_of="2026-02-01T00:00:00Z",
        snapshot="0123456789abcdef",
        model=PinnedModel(name="feed.task.click", version=2, sha256="a" * 64),
        recipe="b" * 64,
        slices={"train": DAYS, "calibrate": DAYS, "test": DAYS},
        rounds=12,
        rows=900,
        comparison=ChampionComparison(
            task="click",
            auc_drop=Estimate(0.1, nan, nan, 3),
            normalized_entropy_rise=Estimate(0.1, 0.05, 0.15, 90),
            auc_by_request_drop=None,
        ),
    )


def test_it_is_read_as_it_was_written() -> None:
    text = json.dumps(evidence().to_json())
    again = SameDayEvidence.read(text, where="Run r1")
    assert json.dumps(again.to_json()) == text
    assert (again.document, again.version, again.slices) == ("same_day", 1, evidence().slices)


def test_where_nothing_was_compared_it_says_why() -> None:
    plain = {**evidence().to_json(), "comparison": None, "slices": None, "rounds": None, "reason": "too few"}
    again = SameDayEvidence.read(json.dumps(plain), where="Run r1")
    assert (again.comparison, again.reason) == (None, "too few")


def test_what_it_does_not_know_is_refused() -> None:
    with pytest.raises(StoreError, match="Run r1 holds no same_day evidence of version 1"):
        SameDayEvidence.read(json.dumps({**evidence().to_json(), "more": 1}), where="Run r1")
    with pytest.raises(ContractError, match="Run r1 holds training evidence"):
        SameDayEvidence.read(json.dumps({"document": "training", "version": 1}), where="Run r1")
