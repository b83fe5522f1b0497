"""What a release gives for its candidates, and what it refuses."""

import json
from pathlib import Path

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest

from tasks.contracts import canonical
from tasks.contracts.utility import Perturbation
from tasks.errors import DataError, StoreError
from tasks.ranking.maps import LogisticMap
from tasks.ranking.scoring import Scorer
from tasks.ranking.segmented_map import Effects, MappedSegment, SegmentedMap, Span
from tasks.release.loading import load_release
from tasks.release.packaging import package_release, release_signature
from tasks.stores.files import write_files
from tasks.stores.manifest import Manifest
from tests.feeds.toy_release import UTILITY, a_frame, toy_files


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return toy_files()


@pytest.fixture(scope="module")
def scorer(files: dict[str, bytes]) -> Scorer:
    return Scorer.from_files(files)


def test_the_output_has_one_row_a_candidate_in_the_contract_s_columns(scorer: Scorer) -> None:
    frame = a_frame()
    scored = scorer.score(frame)
    assert list(scored.columns) == [
        *("request_id", "item_id", "p_click_30m", "p_buy_7d", "p_buy_7d__given", "v_spend_7d"),
        *("utility", "rank", "slate_position", "dropped_by", "context"),
    ]
    pd.testing.assert_frame_equal(scored[["request_id", "item_id"]], frame[["request_id", "item_id"]])


def test_a_conditional_task_s_probability_is_the_mapped_product_of_its_chain(scorer: Scorer) -> None:
    scored = scorer.score(a_frame())
    product = scored["p_click_30m"] * scored["p_buy_7d__given"]
    np.testing.assert_allclose(scored["p_buy_7d"], LogisticMap(1.0, 0.3).apply(product.to_numpy()))


def test_utility_is_the_weighted_sum_in_the_request_s_context(scorer: Scorer) -> None:
    frame = a_frame()
    scored = scorer.score(frame)
    clicks = np.where(frame["page"] == "checkout", 2.0, 1.0)
    by_hand = clicks * scored["p_click_30m"] + 20 * scored["p_buy_7d"] * frame["margin"]
    np.testing.assert_allclose(scored["utility"], by_hand, rtol=1e-12)
    assert set(scored["context"].dropna()) == {"checkout"}


def test_dropped_candidates_have_a_reason_and_no_place(scorer: Scorer) -> None:
    frame = a_frame()
    scored = scorer.score(frame)
    dropped = scored["dropped_by"].notna()
    np.testing.assert_array_equal(dropped, ~frame["permitted"])
    assert set(scored.loc[dropped, "dropped_by"]) == {"not_permitted"}
    assert scored.loc[dropped, ["rank", "slate_position"]].isna().all().all()


def test_slates_hold_their_caps(scorer: Scorer) -> None:
    frame = a_frame()
    slate = frame[scorer.score(frame)["slate_position"].notna()]
    assert slate.groupby(["request_id", "source"]).size().max() == 1
    assert slate.groupby("request_id").size().max() == 2


def test_the_order_of_rows_does_not_matter(scorer: Scorer) -> None:
    frame = a_frame()
    turned = frame.sample(frac=1, random_state=3)
    key = ["request_id", "item_id"]
    one, two = (scorer.score(f).sort_values(key, ignore_index=True) for f in (frame, turned))
    pd.testing.assert_frame_equal(one, two)


def test_no_candidates_give_no_rows_and_the_same_columns(scorer: Scorer) -> None:
    scored = scorer.score(a_frame().head(0))
    assert len(scored) == 0
    assert list(scored.columns) == list(scorer.score(a_frame()).columns)


def test_a_missing_column_is_named_with_the_nearest_known(scorer: Scorer) -> None:
    with pytest.raises(DataError, match=r"Unknown column 'price'.*Did you mean 'prices'\?.*too: source"):
        scorer.score(a_frame().rename(columns={"price": "prices", "source": "origin"}))


@pytest.mark.parametrize("column", ["margin", "page", "permitted", "item_id"])
def test_what_only_a_policy_reads_is_needed_too(scorer: Scorer, column: str) -> None:
    with pytest.raises(DataError, match=f"Unknown column '{column}'"):
        scorer.score(a_frame().drop(columns=column))


def test_a_repeated_candidate_is_refused(scorer: Scorer) -> None:
    frame = a_frame()
    with pytest.raises(DataError, match=r"\(request_id, item_id\) is repeated in 1 of 201 rows"):
        scorer.score(pd.concat([frame, frame.tail(1)], ignore_index=True))


def test_a_null_request_is_refused(scorer: Scorer) -> None:
    frame = a_frame()
    frame.loc[3, "request_id"] = None
    with pytest.raises(DataError, match="'request_id' is null in 1 of 200 rows"):
        scorer.score(frame)


def test_an_explanation_adds_up_to_the_utility(scorer: Scorer) -> None:
    frame = a_frame()
    explained = scorer.explain(frame, "r007")
    assert explained["item_id"].nunique() == 4
    scored = scorer.score(frame).query("request_id == 'r007'").set_index("item_id")["utility"]
    summed = explained.groupby("item_id")["contribution"].sum()
    np.testing.assert_allclose(summed, scored[summed.index], rtol=1e-12)


def test_a_request_that_is_not_there_cannot_be_explained(scorer: Scorer) -> None:
    with pytest.raises(DataError, match="No candidate of request 'r999' in 200 rows"):
        scorer.explain(a_frame(), "r999")


def test_a_folder_reads_like_its_files(scorer: Scorer, files: dict[str, bytes], tmp_path: Path) -> None:
    for path, data in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    pd.testing.assert_frame_equal(Scorer.load(tmp_path).score(a_frame()), scorer.score(a_frame()))


@pytest.mark.parametrize(
    "path", ["heads.json", "models/buy_7d.txt", "calibrators/click_30m.json", "slate.json"]
)
def test_a_missing_file_is_named(files: dict[str, bytes], path: str) -> None:
    with pytest.raises(StoreError, match=f"Unknown file '{path}' in the release"):
        Scorer.from_files({name: data for name, data in files.items() if name != path})


def test_a_packaged_release_scores_like_the_code_that_made_it(
    scorer: Scorer, files: dict[str, bytes], manifest: Manifest, tmp_path: Path
) -> None:
    frame = a_frame()
    signature = release_signature(frame[list(scorer.columns)], scorer.score(frame))
    write_files(tmp_path, package_release(files, manifest, signature=signature)[0])
    release = load_release(tmp_path)
    pd.testing.assert_frame_equal(release.score(frame), scorer.score(frame))
    with pytest.raises(DataError, match="Did you mean 'prices'"):
        release.score(frame.rename(columns={"price": "prices"}))
    served = mlflow.pyfunc.load_model(str(tmp_path)).predict(frame)
    scored = scorer.score(frame)
    assert [*served.columns] == [*scored.columns, "release", "model_version", "calibration_version"]
    pd.testing.assert_frame_equal(served[[*scored.columns]].astype(scored.dtypes), scored)


def test_components_sum_to_the_utility(scorer: Scorer) -> None:
    frame = a_frame()
    scored = scorer.score(frame, components=True)
    plain = scorer.score(frame)
    pd.testing.assert_frame_equal(scored[[*plain.columns]], plain)
    clicks = np.where(frame["page"] == "checkout", 2.0, 1.0)
    np.testing.assert_array_equal(scored["weight_click_30m"], clicks)
    np.testing.assert_array_equal(scored["weight_buy_7d"], 20.0)
    np.testing.assert_allclose(scored["contribution_click_30m"], clicks * scored["p_click_30m"])
    parts = scored["contribution_click_30m"] + scored["contribution_buy_7d"]
    np.testing.assert_allclose(parts, scored["utility"])


@pytest.fixture(scope="module")
def by_tenure(files: dict[str, bytes]) -> dict[str, bytes]:
    """A release whose clicks are calibrated by a column that no model and no policy reads."""
    new = Effects(("tenure",), (("new",),), (0.7,), (0.1,), (0.2,))
    segment = MappedSegment("tenure", "user_tenure")
    found = SegmentedMap((segment,), (new,), Span(0.0, -5.0, 5.0), LogisticMap(0.9, -0.1))
    return {**files, "calibrators/click_30m.json": json.dumps(found.to_json()).encode()}


def test_what_a_calibrator_by_segment_reads_is_needed_of_the_candidates(by_tenure: dict[str, bytes]) -> None:
    scorer = Scorer.from_files(by_tenure)
    assert "user_tenure" in scorer.columns
    with pytest.raises(DataError, match="Unknown column 'user_tenure'"):
        scorer.score(a_frame())


def test_a_segment_s_probabilities_move_and_an_unseen_one_falls_back(
    scorer: Scorer, by_tenure: dict[str, bytes]
) -> None:
    frame = a_frame()
    tenure = np.where(np.arange(len(frame)) % 2 == 0, "new", "never seen")
    scored = Scorer.from_files(by_tenure).score(frame.assign(user_tenure=tenure))
    new, plain = tenure == "new", scorer.score(frame)
    assert (scored["p_click_30m"][new] > plain["p_click_30m"][new]).all()
    np.testing.assert_allclose(scored["p_click_30m"][~new], plain["p_click_30m"][~new])


def test_a_release_with_a_calibrator_by_segment_scores_with_the_code_it_brought(
    by_tenure: dict[str, bytes], manifest: Manifest, tmp_path: Path
) -> None:
    frame = a_frame().assign(user_tenure="new")
    scorer = Scorer.from_files(by_tenure)
    signature = release_signature(frame[list(scorer.columns)], scorer.score(frame.head(0)))
    packaged, _ = package_release(by_tenure, manifest, signature=signature)
    write_files(tmp_path / "release", packaged)
    pd.testing.assert_frame_equal(load_release(tmp_path / "release").score(frame), scorer.score(frame))


def test_a_served_release_writes_by_what_each_users_weights_were_multiplied(
    files: dict[str, bytes], manifest: Manifest, tmp_path: Path
) -> None:
    moved = canonical(UTILITY.model_copy(update={"perturbation": Perturbation(size=0.1, salt="s")}))
    perturbed = {**files, "utility.json": json.dumps(moved).encode()}
    scorer, frame = Scorer.from_files(perturbed), a_frame()
    assert "user_id" in scorer.columns
    frame["user_id"] = frame["request_id"].str[:3]
    signature = release_signature(frame[list(scorer.columns)], scorer.score(frame.head(0)))
    packaged, _ = package_release(perturbed, manifest, signature=signature)
    write_files(tmp_path / "release", packaged)
    scored = load_release(tmp_path / "release").score(frame)
    clicks = np.where(frame["page"] == "checkout", 2.0, 1.0) * scored["factor_click_30m"]
    bought = 20 * scored["factor_buy_7d"] * frame["margin"]
    by_hand = clicks * scored["p_click_30m"] + bought * scored["p_buy_7d"]
    np.testing.assert_allclose(scored["utility"], by_hand, rtol=1e-12)
    assert set(scored["factor_click_30m"].round(6)) == {0.9, 1.1}


def test_a_served_release_adds_terms_of_a_column_of_the_greater_head_and_above_a_threshold(
    files: dict[str, bytes], manifest: Manifest, tmp_path: Path
) -> None:
    terms = {
        "risk": {"column": "risk", "weight": -0.3, "cap": 2.0},
        "best": {"greater_of": ["click_30m", "buy_7d"], "weight": 3.0},
        "sure": {"task": "buy_7d", "weight": 5.0, "where": {"click_30m": {"min": 0.3}}},
    }
    policy = json.dumps(json.loads(files["utility.json"]) | {"terms": terms}).encode()
    scorer, frame = Scorer.from_files({**files, "utility.json": policy}), a_frame()
    frame["risk"] = np.random.default_rng(5).uniform(0, 4, len(frame))
    frame.loc[7, "risk"] = np.nan
    assert "risk" in scorer.columns
    signature = release_signature(frame[list(scorer.columns)], scorer.score(frame))
    packaged, _ = package_release({**files, "utility.json": policy}, manifest, signature=signature)
    write_files(tmp_path, packaged)
    scored = mlflow.pyfunc.load_model(str(tmp_path)).predict(frame, params={"components": True})
    clicks, buys = scored["p_click_30m"], scored["p_buy_7d"]
    assert 0 < (clicks >= 0.3).mean() < 1
    by_hand = (
        np.where(frame["page"] == "checkout", 2.0, 1.0) * clicks
        + 20 * buys * frame["margin"]
        - 0.3 * frame["risk"].clip(upper=2.0)
        + 3 * np.maximum(clicks, buys)
        + 5 * buys * (clicks >= 0.3)
    )
    np.testing.assert_allclose(scored["utility"], by_hand, rtol=1e-12)
    np.testing.assert_allclose(
        scored["contribution_risk"].drop(7), -0.3 * frame["risk"].drop(7).clip(upper=2.0)
    )
    assert scored.loc[7, "dropped_by"] == "unknown_value:risk"


def test_a_joint_is_never_by_segment(by_tenure: dict[str, bytes]) -> None:
    wrong = {**by_tenure, "joints/buy_7d.json": by_tenure["calibrators/click_30m.json"]}
    with pytest.raises(DataError, match="Unknown kind 'segmented'"):
        Scorer.from_files(wrong)
