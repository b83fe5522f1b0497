"""What people ask of the feed: drawn once, logged with every candidate, and true."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from tasks.datasets.world.controls import draw_controls
from tasks.datasets.world.entities import Controls
from tasks.datasets.world.generate import Extras, generate
from tasks.datasets.world.users import draw_users
from tasks.datasets.world.vocabulary import CATEGORIES, CREATORS, LESS, MORE, MUTED, NO_CONTROL
from tasks.errors import ContractError

Frames = dict[str, pd.DataFrame]
KEY = ["request_id", "item_id"]


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
