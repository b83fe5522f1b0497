"""A release and the champion on the same rows: who ranks better, of four impressions, by hand."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks.evaluation.evidence import ChampionComparison
from tasks.evaluation.subjects import Segment
from tasks.replay import slates
from tasks.replay.log import PolicySlates
from tasks.replay.simulate import comparisons
from tasks.replay.slates import Scored
from tasks.stores.workspace import Workspace
from tests.feeds.small_feed import NAME, TASKS, write_contracts
from tests.known import known
from tests.replay.worlds import NO_POLICY

RIGHT, WRONG = [0.9, 0.1, 0.8, 0.2], [0.1, 0.9, 0.2, 0.8]
CLICKED = [1.0, 0.0, 1.0, 0.0]
NOTHING = [None] * 4
SHOWN_AT = pd.Timestamp("2026-03-01T09:00:00Z")
Column = Sequence[float | None]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.open(NAME, surfaces=write_contracts(tmp_path / "surfaces"), home=tmp_path / "home")


def _compared(
    workspace: Workspace,
    labels: Mapping[str, Column],
    *,
    ours: Mapping[str, Column],
    champion: Mapping[str, Column],
    requests: str = "abcd",
) -> dict[str, ChampionComparison]:
    keys = {
        "request_id": list(requests),
        "user_id": list("uvwx"),
        "item_id": list("1234"),
        "shown_at": SHOWN_AT,
    }
    segments = {"category": ["a", "a", "b", "b"], "age": [1.0] * 4}
    outcomes = {task: labels.get(task, NOTHING) for task in workspace.contracts.tasks.tasks}
    frame = pd.DataFrame({**keys, **segments, **outcomes}).astype(dict.fromkeys(outcomes, float))
    both = (
        Scored(PolicySlates("p", np.ones(4, dtype=int)), pd.DataFrame(side), {}, NO_POLICY).where_logged
        for side in (ours, champion)
    )
    log = slates.TestSlice(workspace, frame, complete=True).log
    found = comparisons(workspace.contracts, log, *both)
    return {one.task: one for one in found}


def test_a_reversed_order_loses_the_whole_area_and_adds_entropy(workspace: Workspace) -> None:
    found = _compared(
        workspace, {"click_1d": CLICKED}, ours={"p_click_1d": WRONG}, champion={"p_click_1d": RIGHT}
    )
    assert known(found["click_1d"].auc_drop).value == 1.0
    assert known(found["click_1d"].normalized_entropy_rise).value > 0


def test_the_order_is_compared_inside_requests_in_every_segment(workspace: Workspace) -> None:
    """Request r is turned round and s is not: half of the pairs are lost, all of those of category a."""
    ours = [0.1, 0.9, 0.8, 0.2]
    found = _compared(
        workspace,
        {"click_1d": CLICKED},
        ours={"p_click_1d": ours},
        champion={"p_click_1d": RIGHT},
        requests="rrss",
    )["click_1d"]
    assert known(found.auc_by_request_drop).value == 0.5
    by_segment = {one.segment: one.auc_by_request_drop for one in found.segments}
    assert list(by_segment) == [
        Segment("category", "a"),
        Segment("category", "b"),
        Segment("item_age", "<10"),
    ]
    assert [drop.value for drop in by_segment.values() if drop is not None] == [1.0, 0.0, 0.5]


def test_of_a_request_level_task_the_first_row_counts_and_no_order(
    workspace: Workspace, tmp_path: Path
) -> None:
    """Two requests, one came back: the rows that repeat the outcome are no further evidence."""
    visit = "{level: request, family: long_term, positive: {event: visit, within: P1D, match: [user_id]}}"
    tasks = f"{TASKS}  visit_1d: {visit}\n"
    surfaces = write_contracts(tmp_path / "request_level", tasks=tasks)
    level = Workspace.open(NAME, surfaces=surfaces, home=workspace.home)
    found = _compared(
        level,
        {"visit_1d": [1.0, 1.0, 0.0, 0.0]},
        ours={"p_visit_1d": [0.2, 0.9, 0.1, 0.9]},
        champion={"p_visit_1d": [0.1, 0.9, 0.2, 0.9]},
        requests="rrss",
    )["visit_1d"]
    assert found.auc_by_request_drop is None
    assert known(found.auc_drop).value == -1.0
    found = _compared(
        level,
        {"visit_1d": [None, 1.0, 0.0, 0.0]},
        ours={"p_visit_1d": [0.9, 0.2, 0.1, 0.9]},
        champion={"p_visit_1d": [0.9, 0.1, 0.2, 0.9]},
        requests="rrss",
    )["visit_1d"]
    assert known(found.auc_drop).value == -1.0, "the first row of which the outcome is known"


def test_a_task_without_a_known_label_or_without_a_prediction_is_not_compared(workspace: Workspace) -> None:
    both = {"p_click_1d": RIGHT, "p_buy_2d": RIGHT}
    found = _compared(workspace, {"click_1d": CLICKED}, ours=both, champion=both)
    assert list(found) == ["click_1d"]
    alone = _compared(workspace, {"click_1d": CLICKED}, ours=both, champion={"p_buy_2d": RIGHT})
    assert alone == {}


def test_a_conditional_is_compared_where_its_parent_is_positive(workspace: Workspace) -> None:
    """Of the two that were bought one came back: the others' predictions say nothing."""
    labels: dict[str, Column] = {"buy_2d": [1.0, 1.0, 0.0, 0.0], "back_2d": [1.0, 0.0, None, None]}
    joint = {"p_back_2d": [0.5] * 4}
    found = _compared(
        workspace,
        labels,
        ours=joint | {"p_back_2d__given": [0.1, 0.9, 0.1, 0.1]},
        champion=joint | {"p_back_2d__given": [0.9, 0.1, 0.9, 0.9]},
        requests="rrrr",
    )
    assert known(found["back_2d"].auc_drop).value == 1.0
    assert known(found["back_2d"].auc_by_request_drop).value == 0.0, "the joint ones rank alike"


def test_where_one_side_has_no_conditional_the_joint_ones_meet_the_chain(workspace: Workspace) -> None:
    """What was not bought did not come back: 1 positive among 4, of which ours ranks one above it."""
    labels: dict[str, Column] = {"buy_2d": [1.0, 1.0, 0.0, 0.0], "back_2d": [1.0, 0.0, None, None]}
    found = _compared(
        workspace,
        labels,
        ours={"p_back_2d": [0.5, 0.1, 0.9, 0.2]},
        champion={"p_back_2d": [0.9, 0.1, 0.1, 0.2], "p_back_2d__given": [0.1, 0.9, 0.1, 0.1]},
    )
    assert known(found["back_2d"].auc_drop).value == pytest.approx(1 / 3)


def test_what_is_predicted_at_the_place_where_the_item_stood_goes_before(workspace: Workspace) -> None:
    ours = {"p_click_1d": WRONG, "p_click_1d__shown": RIGHT}
    found = _compared(workspace, {"click_1d": CLICKED}, ours=ours, champion={"p_click_1d": RIGHT})
    assert known(found["click_1d"].auc_drop).value == 0.0
