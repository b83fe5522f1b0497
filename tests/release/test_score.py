"""Candidates in, decisions out, from the command line; what cannot be scored is refused whole.

Rules are counted from certificates, in the order in which they claim slots.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.cli import main
from tasks.errors import DataError
from tasks.release import score as score_step
from tasks.release import view as release_view
from tasks.release.score import count_slate_rules
from tasks.stores.store import Store
from tests.feeds.mini import NAME, TASKS, Retrained

Score = Callable[[pd.DataFrame], pd.DataFrame]


@pytest.fixture(scope="module")
def candidates(mini_world: Path) -> pd.DataFrame:
    """Five requests of the last day."""
    table = pq.read_table(mini_world / "candidates" / "2026-02-11.parquet")
    frame = table.drop_columns(["shown_at"]).to_pandas()
    return frame[frame["request_id"].isin(frame["request_id"].unique()[:5])].astype({"request_id": "str"})


@pytest.fixture
def score(first_retrain: Retrained, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Score:
    """Score with release 1."""

    def run(frame: pd.DataFrame) -> pd.DataFrame:
        assert main(_words(first_retrain, "score", tmp_path, frame)) == 0
        capsys.readouterr()
        return pd.read_parquet(tmp_path / "scored.parquet")

    return run


def test_a_row_in_is_a_row_out_with_every_prediction_and_the_decision(
    score: Score, candidates: pd.DataFrame
) -> None:
    scored = score(candidates)
    assert scored["item_id"].tolist() == candidates["item_id"].tolist()
    assert list(scored.columns) == [
        *("request_id", "item_id", "p_click_30m", "p_purchase_2d", "p_return_5d", "p_return_5d__given"),
        *("p_hide_2d", "p_satisfied_2d", "v_dwell_seconds_1d"),
        *("utility", "rank", "slate_position", "dropped_by", "context", "certificate"),
        *("release", "model_version", "calibration_version"),
    ]
    probabilities = scored.filter(like="p_").filter(regex="^p_")
    assert ((probabilities > 0) & (probabilities < 1)).all(axis=None)


def test_a_scored_file_says_by_which_release_models_and_calibrators(
    first_retrain: Retrained, score: Score, candidates: pd.DataFrame, tmp_path: Path
) -> None:
    pins = release_view.show(first_retrain.workspace, 1)["pins"]
    scored = score(candidates)
    (said,) = scored[["release", "model_version", "calibration_version"]].drop_duplicates().to_dict("records")
    assert said["release"] == 1
    assert json.loads(said["model_version"]) == {task: pins[f"{NAME}.task.{task}"] for task in TASKS}
    assert json.loads(said["calibration_version"]) == {
        task: pins[f"{NAME}.calibrator.{task}"] for task in TASKS
    }
    score(candidates.head(0))
    metadata = pq.read_schema(tmp_path / "scored.parquet").metadata
    assert {str(name): metadata[str(name).encode()].decode() for name in said} == {
        str(name): str(value) for name, value in said.items()
    }


def test_ranks_follow_utility_and_slots_are_numbered_from_1(score: Score, candidates: pd.DataFrame) -> None:
    scored = score(candidates)
    for _, request in scored[scored["rank"].notna()].groupby("request_id"):
        assert request.sort_values("rank")["utility"].is_monotonic_decreasing
        assert sorted(request["slate_position"].dropna()) == list(range(1, 11))
    assert scored.loc[scored["dropped_by"].notna(), ["rank", "slate_position"]].isna().all(axis=None)


def test_the_command_says_how_many_were_dropped_by_what(
    first_retrain: Retrained, candidates: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unsafe = candidates.assign(policy_violation=np.arange(len(candidates)) % 40 == 0)
    assert main([*_words(first_retrain, "score", tmp_path, unsafe), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["release"], said["candidates"], said["requests"], said["in_slates"]) == (1, 200, 5, 50)
    assert said["dropped"]["policy_violation"] == 5


def test_each_request_brings_the_certificate_of_its_slate(score: Score, candidates: pd.DataFrame) -> None:
    scored = score(candidates.assign(exploration=False))
    first = ~scored["request_id"].duplicated()
    assert scored["certificate"].notna().tolist() == first.tolist()
    for text in scored.loc[first, "certificate"]:
        read = json.loads(text)
        assert read["met"] == ["max_per:category", "max_per:creator", "max_where:sponsored", "length"]
        (short,) = read["unmet"]
        assert (short["rule"], short["wanted"], short["available"]) == (
            "min_where_if_available:exploration",
            1,
            0,
        )


def test_the_command_says_how_many_slates_fall_short_of_which_rule(
    first_retrain: Retrained, candidates: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = candidates.assign(exploration=False)
    assert main([*_words(first_retrain, "score", tmp_path, frame), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["unmet"] == {"min_where_if_available:exploration": 5}


def test_plain_mlflow_gives_certificates_on_request(
    first_retrain: Retrained, candidates: pd.DataFrame, tmp_path: Path
) -> None:
    workspace = first_retrain.workspace
    folder = workspace.store.registry.fetch(workspace.releases.part(1), tmp_path / "release")
    model = mlflow.pyfunc.load_model(str(folder))
    assert "certificate" not in model.predict(candidates)
    asked = model.predict(candidates, params={"certificate": True})
    assert asked["certificate"].notna().sum() == 5


def test_values_that_training_never_saw_are_said_by_feature(
    first_retrain: Retrained,
    candidates: pd.DataFrame,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    strange = candidates.assign(device="fridge")
    assert main([*_words(first_retrain, "score", tmp_path, strange), "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["unseen"]["device"] == 1.0
    assert "values that no training of the release saw: device in 100.0%" in printed.err


def test_the_best_candidate_leaves_every_slate_once_it_is_unsafe(
    score: Score, candidates: pd.DataFrame
) -> None:
    first = score(candidates)["slate_position"].eq(1).to_numpy(dtype=bool, na_value=False)
    scored = score(candidates.assign(policy_violation=first | candidates["policy_violation"].to_numpy()))
    assert set(scored.loc[first, "dropped_by"]) == {"policy_violation"}
    assert scored.loc[first, "slate_position"].isna().all()


def test_what_is_not_known_to_be_safe_is_dropped(score: Score, candidates: pd.DataFrame) -> None:
    unknown = pd.Series([None] + [False] * (len(candidates) - 1), dtype="boolean", index=candidates.index)
    assert score(candidates.assign(policy_violation=unknown))["dropped_by"].iloc[0] == "policy_violation"


def test_a_candidate_set_of_one_is_ranked_first(score: Score, candidates: pd.DataFrame) -> None:
    safe = candidates[~candidates["policy_violation"] & candidates["permitted"].eq(True)]
    (alone,) = score(safe.head(1)).to_dict("records")
    assert (alone["rank"], alone["slate_position"]) == (1, 1)


def test_no_candidate_at_all_is_an_empty_answer(score: Score, candidates: pd.DataFrame) -> None:
    empty = score(candidates.head(0))
    assert len(empty) == 0
    assert {"p_click_30m", "utility", "slate_position"} <= set(empty.columns)


def _twice(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([frame, frame.head(2)])


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda frame: frame.drop(columns="price"), "Unknown column 'price' in the candidates, but needed"),
        (lambda frame: frame.drop(columns="policy_violation"), "Unknown column 'policy_violation'"),
        (lambda frame: frame.drop(columns="request_id"), "Unknown column 'request_id'"),
        (_twice, "The key (request_id, item_id) is repeated in 2 of 202 rows"),
        (lambda frame: frame.assign(item_id=None), "Column 'item_id' is null in 200 of 200 rows"),
        (lambda frame: frame.assign(price="dear"), "Column 'price' holds"),
    ],
)
def test_what_cannot_be_scored_is_one_message_exit_code_2_and_no_file(
    first_retrain: Retrained,
    candidates: pd.DataFrame,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[pd.DataFrame], pd.DataFrame],
    said: str,
) -> None:
    assert main(_words(first_retrain, "score", tmp_path, spoil(candidates))) == 2
    (message,) = capsys.readouterr().err.splitlines()
    assert message.startswith(f"DataError: {said}")
    assert [file.name for file in tmp_path.iterdir()] == ["candidates.parquet"]


def test_a_column_that_pandas_wrote_as_its_index_is_a_column(tmp_path: Path) -> None:
    frame = pd.DataFrame({"request_id": ["q", "q"], "item_id": [1, 2], "price": [2.5, 3.0]})
    frame.set_index(["request_id", "item_id"]).to_parquet(tmp_path / "candidates.parquet")
    read = score_step.read_candidates(tmp_path / "candidates.parquet")
    pd.testing.assert_frame_equal(read[[*frame.columns]], frame)


def test_a_file_that_is_no_parquet_is_named(
    first_retrain: Retrained, candidates: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = _words(first_retrain, "score", tmp_path, candidates)
    (tmp_path / "candidates.parquet").write_text("request_id,item_id\n", encoding="utf-8")
    assert main(words) == 2
    assert "is not a readable Parquet file of candidates" in capsys.readouterr().err
    (tmp_path / "candidates.parquet").unlink()
    assert main(words) == 2
    assert "is not a readable Parquet file of candidates" in capsys.readouterr().err


def test_a_file_with_a_spoilt_footer_is_read_or_refused_whatever_bit_is_another(
    candidates: pd.DataFrame, tmp_path: Path
) -> None:
    file = tmp_path / "candidates.parquet"
    candidates.head(50).to_parquet(file)
    whole, draw = file.read_bytes(), np.random.default_rng(14)
    footer = int.from_bytes(whole[-8:-4], "little")
    refused = 0
    for place in draw.integers(len(whole) - 8 - footer, len(whole), 60):
        spoilt = bytearray(whole)
        spoilt[place] ^= 1 << int(draw.integers(8))
        file.write_bytes(spoilt)
        try:
            score_step.read_candidates(file)
        except DataError as error:
            refused += 1
            assert "is not a readable Parquet file" in str(error)  # noqa: PT017 - one of two right outcomes
    assert refused > 20


@pytest.mark.parametrize("zone", [None, "UTC"])
@pytest.mark.parametrize("moment", [2**62, -(2**62)])
def test_a_time_that_no_calendar_has_is_refused_with_its_column(
    moment: int, zone: str | None, tmp_path: Path
) -> None:
    listed_at = pa.array([None, moment], pa.int64()).cast(pa.timestamp("us", zone))
    file = tmp_path / "candidates.parquet"
    pq.write_table(pa.table({"item_id": ["a", "b"], "listed_at": listed_at}), file)
    with pytest.raises(DataError, match=r"column 'listed_at' holds a time .* the years 1 to 9999"):
        score_step.read_candidates(file)


def test_an_unknown_release_is_named_with_those_that_are_there(
    first_retrain: Retrained, candidates: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(_words(first_retrain, "score", tmp_path, candidates, release="9")) == 2
    assert "Unknown version '9' in home_feed.release" in capsys.readouterr().err


def test_a_request_is_explained_by_components_that_add_up(
    first_retrain: Retrained,
    score: Score,
    candidates: pd.DataFrame,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    scored = score(candidates)
    asked = candidates["request_id"].iloc[0]
    words = _words(first_retrain, "explain", tmp_path, candidates)
    assert main([*words, "--request", asked, "--json"]) == 0
    told = pd.DataFrame(json.loads(capsys.readouterr().out))
    assert set(told["request_id"]) == {asked}
    assert set(told["task"]) == {"click_30m", "purchase_2d", "satisfied_2d", "return_5d", "hide_2d"}
    total = told.groupby("item_id")["contribution"].sum()
    mine = scored[scored["request_id"] == asked].set_index("item_id")["utility"]
    np.testing.assert_allclose(total.sort_index(), mine.sort_index(), rtol=1e-9)


def test_an_explanation_has_error_bars_from_the_release_s_own_test_days(
    first_retrain: Retrained, candidates: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = _words(first_retrain, "explain", tmp_path, candidates)
    asked = candidates["request_id"].iloc[0]
    assert main([*words, "--request", asked, "--json"]) == 0
    told = pd.DataFrame(json.loads(capsys.readouterr().out))
    figures = release_view.show(first_retrain.workspace, 1)["metrics"]
    for row in told.drop_duplicates("task").to_dict("records"):
        headline = figures[row["task"]]["test"]
        for end in ("calibration_ratio", "calibration_ratio_low", "calibration_ratio_high"):
            assert row[end] == pytest.approx(headline[end])
        assert row["error"] == pytest.approx(row["contribution"] * (headline["calibration_ratio"] - 1))
    furthest = np.maximum(1 - told["calibration_ratio_low"], told["calibration_ratio_high"] - 1)
    squared = ((told["contribution"] * furthest) ** 2).groupby(told["item_id"]).sum()
    bars = told.drop_duplicates("item_id").set_index("item_id")["utility_error"]
    np.testing.assert_allclose(bars.sort_index(), np.sqrt(squared).sort_index())
    assert set(told["order"].dropna()) <= {"significant", "within_error"}
    assert told["untold"].isna().all()


def test_people_read_an_explanation_in_a_terminal(
    first_retrain: Retrained, candidates: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = candidates["request_id"].iloc[0]
    assert main([*_words(first_retrain, "explain", tmp_path, candidates), "--request", asked]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[0] == f"request {asked}"
    assert lines[2].startswith("1. ")
    assert "+/-" in lines[3]


def test_a_release_whose_figures_are_lost_is_explained_without_error_bars(
    first_retrain: Retrained, candidates: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = first_retrain.workspace.home
    run = Store.open(home).registry.run_id(first_retrain.workspace.releases.part(1))
    (figures,) = (home / "mlflow/artifacts").rglob(f"{run}/artifacts/evidence.json")
    words = _words(first_retrain, "explain", tmp_path, candidates)
    away = figures.rename(tmp_path / "evidence.json")
    try:
        assert main([*words, "--request", candidates["request_id"].iloc[0]]) == 0
    finally:
        away.rename(figures)
    said = capsys.readouterr().out
    assert f"no errors: Run {run} has no readable evidence.json" in said
    assert "+/-" not in said


@pytest.mark.parametrize("command", ["score", "explain"])
def test_a_file_with_the_names_of_the_log_is_read_by_the_mapping_of_the_surface(
    first_retrain: Retrained,
    candidates: pd.DataFrame,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    command: str,
) -> None:
    words = _words(first_retrain, command, tmp_path, candidates)
    words += ["--request", candidates["request_id"].iloc[0]] if command == "explain" else []
    assert main(words) == 0
    by_ours = capsys.readouterr().out
    theirs = candidates.rename(columns={"request_id": "page_view", "price": "amount"})
    theirs.to_parquet(tmp_path / "candidates.parquet", index=False)
    assert main(words) == 2
    assert "Unknown column" in capsys.readouterr().err
    shutil.copytree(first_retrain.workspace.surfaces, tmp_path / "surfaces")
    surface = tmp_path / "surfaces" / NAME / "surface.yaml"
    surface.write_text(surface.read_text() + "columns: {request_id: page_view, price: amount}\n")
    words[words.index("--surfaces") + 1] = str(tmp_path / "surfaces")
    assert main(words) == 0
    assert capsys.readouterr().out == by_ours


def test_a_request_that_is_not_in_the_file_is_named(
    first_retrain: Retrained, candidates: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = _words(first_retrain, "explain", tmp_path, candidates)
    assert main([*words, "--request", "r-none"]) == 2
    assert "No candidate of request 'r-none'" in capsys.readouterr().err


def _words(
    first: Retrained, command: str, folder: Path, frame: pd.DataFrame, *, release: str = "1"
) -> list[str]:
    """Write the candidates and return the words of a command that reads them."""
    source, workspace = folder / "candidates.parquet", first.workspace
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), source)
    out = ["--out", str(folder / "scored.parquet")] if command == "score" else []
    where = ["--surfaces", str(workspace.surfaces), "--home", str(workspace.home)]
    return [command, NAME, "--release", release, "--input", str(source), *out, *where]


FRESH = {
    "rule": "min_where_if_available:fresh",
    "wanted": 2,
    "got": 0,
    "available": 1,
    "dropped": 3,
    "kept_out": {"length": 1},
}
MET = ["max_per:creator", "min_where_if_available:fresh", "length"]


def test_what_is_met_in_one_slate_and_not_in_another_stands_in_one_place() -> None:
    short = json.dumps({"met": ["max_per:creator", "length"], "unmet": [FRESH]})
    scored = pd.DataFrame({"certificate": [short, None, short, json.dumps({"met": MET, "unmet": []})]})
    counted = count_slate_rules(scored)
    assert [rule.rule for rule in counted] == MET
    fresh = counted[1]
    assert (fresh.slates, fresh.unmet, fresh.too_few, fresh.slots_short) == (3, 2, 2, 4)
    assert [rule.unmet for rule in counted] == [0, 2, 0]


def test_a_release_without_certificates_gives_no_counts() -> None:
    assert count_slate_rules(pd.DataFrame({"utility": [0.5]})) == ()
