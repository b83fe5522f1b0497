import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.contracts import load_surface
from tasks.datasets.world.catalog import draw_users
from tasks.datasets.world.entities import (
    CANDIDATES,
    CATEGORIES,
    CREATORS,
    LESS,
    MORE,
    MUTED,
    NO_CONTROL,
    SLOTS,
    Controls,
)
from tasks.datasets.world.generate import Extras, ParquetFiles, draw_controls, generate, whole_folder
from tasks.errors import ContractError
from tests.datasets.world.conftest import Made

SURFACES = Path(__file__).parents[3] / "surfaces"
KEY = ["request_id", "item_id"]
Frames = dict[str, pd.DataFrame]


def _files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.parquet")}


def test_the_result_counts_what_is_there(made: Made) -> None:
    result = made.result
    assert result.requests == 10 * 50
    assert result.impressions == made.table("impressions").num_rows == 500 * SLOTS
    assert result.candidates == made.table("candidates").num_rows == 500 * CANDIDATES
    assert result.events == made.table("events").num_rows
    assert (result.first_day, result.last_day) == ("2026-01-01", "2026-01-10")


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        generate(days=2, requests_per_day=20, seed=seed, out=tmp_path / name)
    assert _files(tmp_path / "a") == _files(tmp_path / "b")
    assert _files(tmp_path / "a") != _files(tmp_path / "c")


def test_more_days_leave_the_earlier_ones_as_they_are(made: Made, tmp_path: Path) -> None:
    generate(days=3, requests_per_day=50, seed=11, out=tmp_path / "short")
    short, long = _files(tmp_path / "short"), _files(made.folder)
    days = [
        f"{kind}/2026-01-0{d}.parquet" for kind in ("impressions", "candidates", "events") for d in (1, 2, 3)
    ]
    assert all(short[name] == long[name] for name in days)
    truth = pq.read_table(tmp_path / "short" / "truth.parquet")
    assert truth.equals(made.table("truth").slice(0, truth.num_rows))


def test_absences_of_the_week_after_are_the_ones_of_a_longer_world(made: Made, tmp_path: Path) -> None:
    generate(days=3, requests_per_day=50, seed=11, out=tmp_path / "short")
    for day in ("2026-01-04", "2026-01-10"):
        alone = pq.read_table(tmp_path / "short" / "events" / f"{day}.parquet")
        beside = pq.read_table(made.folder / "events" / f"{day}.parquet").to_pandas()
        absences = beside[beside["event"].isin(["out_of_stock", "ineligible"])].reset_index(drop=True)
        assert alone.to_pandas().equals(absences)


def test_keys_are_unique_and_no_one_meets_an_item_twice(made: Made) -> None:
    for name in ("impressions", "candidates", "truth", "candidate_truth"):
        assert not made.frame(name).duplicated(KEY).any()
    assert not made.frame("impressions").duplicated(["user_id", "item_id"]).any()


def test_every_request_shows_twelve_positions_of_forty_candidates(made: Made) -> None:
    candidates = made.frame("candidates").groupby("request_id")
    assert (candidates.size() == CANDIDATES).all()
    assert (candidates["shown"].sum() == SLOTS).all()
    positions = made.frame("impressions").groupby("request_id")["position"].agg(list)
    assert all(p == list(range(1, SLOTS + 1)) for p in positions)


def test_propensities_are_those_of_the_logged_scores(made: Made) -> None:
    candidates = made.frame("candidates").sort_values(["request_id", "position"], na_position="last")
    odds = np.exp(candidates["retrieval_score"].to_numpy(float)).reshape(-1, CANDIDATES)
    left = odds[:, ::-1].cumsum(axis=1)[:, ::-1]
    logged = candidates["propensity"].to_numpy(float).reshape(-1, CANDIDATES)[:, :SLOTS]
    assert np.allclose(logged, (odds / left)[:, :SLOTS])


def test_impressions_lie_in_the_days_of_their_files(made: Made) -> None:
    for file in (made.folder / "impressions").glob("*.parquet"):
        days = pq.read_table(file).to_pandas()["shown_at"].dt.date.astype(str)
        assert set(days) == {file.stem}


def test_events_become_known_after_they_happen(made: Made) -> None:
    events = made.frame("events")
    assert (events["ingested_at"] >= events["happened_at"]).all()
    assert events["ingested_at"].max() < datetime(2026, 1, 10, tzinfo=UTC) + timedelta(days=39)


def test_rates_are_those_of_a_shop(made: Made) -> None:
    rate = made.frame("truth").filter(like="__shown").mean()
    assert 0.08 < rate["p_click_30m__shown"] < 0.12
    assert 0.02 < rate["p_purchase_7d__shown"] < 0.03
    assert 0.007 < rate["p_hide_7d__shown"] < 0.013
    assert 0.00005 < rate["p_report_7d__shown"] < 0.0003
    assert 0.15 < rate["p_return_30d__shown"] / rate["p_purchase_7d__shown"] < 0.25


def test_the_surface_names_only_columns_that_the_log_has(made: Made) -> None:
    contracts = load_surface(SURFACES, "home_feed")
    surface, slate = contracts.surface, contracts.slate
    conditions = [c.drop_when or c.keep_when for c in contracts.utility.hard_constraints]
    named = {
        *surface.features.names,
        *surface.values,  # noqa: PD011 - a field of the contract
        *(s.column for s in surface.segments),
        *(c.column for c in conditions if c),
        *(column for context in contracts.utility.contexts for column in context.when),
        *slate.max_per, *slate.max_where, *slate.min_where_if_available,
    }  # fmt: skip
    assert named <= set(made.table("candidates").column_names)
    assert contracts.tasks.events <= set(made.frame("events")["event"]) | {"report"}


def test_a_second_run_of_the_same_world_writes_nothing(made: Made) -> None:
    before = {p: p.stat().st_mtime_ns for p in made.folder.rglob("*")}
    again = generate(
        days=10, requests_per_day=50, seed=11, out=made.folder, extras=Extras(candidate_truth=True)
    )
    assert again == made.result
    assert {p: p.stat().st_mtime_ns for p in made.folder.rglob("*")} == before


def test_a_folder_with_another_world_is_refused(made: Made) -> None:
    with pytest.raises(ContractError, match=r"'seed': 11.*'seed': 12.*another folder"):
        generate(days=10, requests_per_day=50, seed=12, out=made.folder)


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(ContractError, match="not a simulated world"):
        generate(days=1, requests_per_day=1, seed=0, out=tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "keep"


@pytest.mark.parametrize("wrong", [{"days": 0}, {"requests_per_day": 0}, {"seed": -1}])
def test_a_parameter_out_of_range_is_named(tmp_path: Path, wrong: dict[str, Any]) -> None:
    ((name, _),) = wrong.items()
    with pytest.raises(ContractError, match=f"{name} is"):
        generate(**{"days": 1, "requests_per_day": 1, "seed": 0, **wrong}, out=tmp_path / "out")


def test_a_world_that_would_reach_into_the_future_is_refused(tmp_path: Path) -> None:
    soon = datetime.now(UTC).date() - timedelta(days=40)
    with pytest.raises(ContractError, match="at most 2 days"):
        generate(days=3, requests_per_day=1, seed=0, out=tmp_path / "out", start=soon)


def test_one_request_a_day_is_a_world(tmp_path: Path) -> None:
    assert generate(days=1, requests_per_day=1, seed=0, out=tmp_path / "out").impressions == SLOTS


def test_a_killed_run_leaves_no_world_and_the_next_one_completes(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from tasks.datasets.world.generate import generate; "
        f"generate(days=60, requests_per_day=200, seed=1, out=Path({str(tmp_path / 'out')!r}))"
    )
    partial = tmp_path / ".out.partial"
    run = subprocess.Popen([sys.executable, "-c", code], cwd=SURFACES.parent)
    deadline = time.monotonic() + 60
    while not list(partial.glob("impressions/*.parquet")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    assert list(partial.glob("impressions/*.parquet"))
    assert not (tmp_path / "out").exists()
    generate(days=1, requests_per_day=5, seed=1, out=tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]


def test_a_folder_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "out") as folder:
        (folder / "a").write_text("1")
        assert not (tmp_path / "out").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with whole_folder(tmp_path / "out") as folder:
            (folder / "a").write_text("1")
            raise RuntimeError("midway")

    with pytest.raises(RuntimeError, match="midway"):
        fail()
    assert not list(tmp_path.iterdir())


def test_an_empty_folder_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with whole_folder(tmp_path / "out") as folder:
        (folder / "a").write_text("1")
    assert (tmp_path / "out" / "a").read_text() == "1"


def test_tables_of_one_name_share_a_file_and_words_are_plain_strings(tmp_path: Path) -> None:
    words = pa.array(["a", "b"]).dictionary_encode()
    with ParquetFiles(tmp_path) as files:
        for _ in range(2):
            files.write("events", "monday", pa.table({"word": words}))
            files.write("truth", None, pa.table({"word": words}))
        files.write("events", "tuesday", pa.table({"word": words}))
    assert pq.read_table(tmp_path / "events" / "monday.parquet")["word"].to_pylist() == ["a", "b"] * 2
    assert pq.read_table(tmp_path / "truth.parquet").num_rows == 4
    assert pq.read_schema(tmp_path / "events" / "tuesday.parquet").field("word").type == pa.string()


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Frames, Frames]:
    """The same days without controls, and with them."""
    folder = tmp_path_factory.mktemp("controls")
    made = []
    for name, controls in (("without", False), ("with", True)):
        out = folder / name
        extras = Extras(candidate_truth=True, user_controls=controls)
        generate(days=2, requests_per_day=200, seed=5, out=out, extras=extras)
        made.append(
            {table: pq.read_table(out / table).to_pandas() for table in ("candidates", "impressions")}
            | {"truth": pq.read_table(out / "candidate_truth.parquet").to_pandas()}
        )
    return made[0], made[1]


def test_a_muted_creator_counts_before_less_and_less_before_more_and_creators_before_categories() -> None:
    wishes = Controls(
        creators={
            MORE: np.array([[7]], np.int16),
            LESS: np.array([[8]], np.int16),
            MUTED: np.array([[9]], np.int16),
        },
        categories={LESS: np.array([1], np.int8), MORE: np.array([2], np.int8)},
    ).wishes(
        np.array([0]),
        np.array([[9, 8, 7, 3, 3, 3]], np.int16),
        np.array([[2, 2, 1, 1, 2, 0]], np.int8),
    )
    assert wishes.tolist() == [[MUTED, LESS, MORE, LESS, MORE, NO_CONTROL]]


def test_half_of_the_people_use_each_control_on_creators_that_there_are() -> None:
    drawn = draw_controls(3, draw_users(3, 20_000).taste)
    for named in drawn.creators.values():
        uses = named[:, 0] >= 0
        assert uses.mean() == pytest.approx(0.5, abs=0.02)
        assert ((named >= 0).all(axis=1) == uses).all()
        assert named.max() < CREATORS


def test_people_ask_for_less_of_what_they_care_for_least_and_more_of_what_they_care_for_most() -> None:
    taste = draw_users(3, 500).taste
    drawn = draw_controls(3, taste)
    for wish, choose in ((LESS, np.argmin), (MORE, np.argmax)):
        asked = np.flatnonzero(drawn.categories[wish] >= 0)
        assert 0 < len(asked) < 500
        assert drawn.categories[wish][asked].tolist() == choose(taste.true[asked], axis=1).tolist()
        assert drawn.categories[wish].max() < len(CATEGORIES)


def test_controls_are_logged_with_every_candidate_and_nothing_else_that_was_served_changes(
    worlds: tuple[Frames, Frames],
) -> None:
    without, controlled = worlds
    columns = ["muted_by_user", "user_control"]
    for table in ("candidates", "impressions"):
        assert set(columns).isdisjoint(without[table])
        pd.testing.assert_frame_equal(
            controlled[table].drop(columns=[*columns, "visible"]), without[table].drop(columns="visible")
        )
    logged = controlled["candidates"]
    assert logged["muted_by_user"].notna().all()
    assert set(logged["user_control"].dropna()) == {"less", "more"}
    assert logged.loc[logged["muted_by_user"], "user_control"].isna().all()


def test_a_person_says_the_same_of_a_creator_and_category_in_every_request(
    worlds: tuple[Frames, Frames],
) -> None:
    logged = worlds[1]["candidates"].fillna({"user_control": "none"})
    by = logged.groupby(["user_id", "creator", "category"], observed=True)
    assert (by["muted_by_user"].agg(set).map(len) == 1).all()
    assert (by["user_control"].agg(set).map(len) == 1).all()


def test_controls_are_what_people_want(worlds: tuple[Frames, Frames]) -> None:
    without, controlled = worlds
    both = controlled["truth"].merge(without["truth"], on=KEY, suffixes=("", "__before"))
    both = both.merge(controlled["candidates"][[*KEY, "muted_by_user", "user_control"]], on=KEY)
    wish = both["user_control"].mask(both["muted_by_user"], "muted").fillna("none")
    ratios = {
        task: (both[f"p_{task}"] / both[f"p_{task}__before"]).groupby(wish).agg(["min", "max"])
        for task in ("hide_7d", "click_30m", "survey_happy_14d")
    }
    assert (ratios["hide_7d"].loc[["muted", "less"]] > 1).all(axis=None)
    assert (ratios["hide_7d"].loc["more"] < 1).all()
    for liked in ("click_30m", "survey_happy_14d"):
        assert (ratios[liked].loc[["muted", "less"]] < 1).all(axis=None)
        assert (ratios[liked].loc["more"] > 1).all()
    assert all((ranges.loc["none"] == 1).all() for ranges in ratios.values())


def test_a_folder_with_the_same_world_without_controls_is_refused(tmp_path: Path) -> None:
    generate(days=1, requests_per_day=1, seed=0, out=tmp_path / "out")
    with pytest.raises(ContractError, match="'user_controls': True"):
        generate(days=1, requests_per_day=1, seed=0, out=tmp_path / "out", extras=Extras(user_controls=True))
