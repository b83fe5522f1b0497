"""What the metrics of two policies share is made once, and what one metric asks for is not kept."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tasks.evaluation.subjects import ALL
from tasks.replay.compared import ComparedPolicies
from tasks.replay.inclusion import JointOutcome
from tasks.replay.log import PolicySlates
from tasks.replay.read_log import WORDS, LogReading, candidate_log
from tests.replay.blocks import LINKS, frame_of

REQUESTS = 60


class ReadOnce(dict[str, JointOutcome]):
    """Outcomes that are gone when they were asked for."""

    def __getitem__(self, task: str) -> JointOutcome:
        return self.pop(task)


@pytest.fixture
def compared() -> ComparedPolicies:
    """Sixty requests of two items: the policy shows the first, the baseline the second."""
    requests = np.repeat([f"r{n}" for n in range(REQUESTS)], 2)
    column: pd.Categorical[Any] = pd.Categorical(np.where(np.arange(2 * REQUESTS) < 4, "rare", "frequent"))
    reading = LogReading(LINKS, segments={"kind": column}, kinds={"kind": WORDS})
    log = candidate_log(frame_of([*requests], shown=True, click=1.0), reading)
    first = np.tile([1, 0], REQUESTS)
    return ComparedPolicies(log, PolicySlates("ours", first), PolicySlates("theirs", 1 - first))


def test_rows_in_slots_are_grouped_once_for_all_metrics(compared: ComparedPolicies) -> None:
    segments = compared.segmentation("kind", None)
    assert compared.rows(segments, everything=False) is compared.rows(segments, everything=False)
    assert compared.segmentation("kind", "click") is segments


def test_all_rows_are_kept_grouped_as_a_whole_and_in_segments_made_when_asked_for(
    compared: ComparedPolicies,
) -> None:
    whole, segments = compared.segmentation(None, None), compared.segmentation("kind", None)
    assert whole.names == (ALL,)
    assert compared.rows(whole, everything=True) is compared.rows(whole, everything=True)
    once, again = (compared.rows(segments, everything=True) for _ in range(2))
    assert once is not again
    assert once.grouped.codes.tolist() == again.grouped.codes.tolist()


def test_a_metric_of_every_row_sums_rows_outside_the_slots(compared: ComparedPolicies) -> None:
    assert compared.place(everything=True).tolist() == list(range(2 * REQUESTS))
    assert compared.place(everything=False).tolist() == list(range(2 * REQUESTS))
    alone = ComparedPolicies(compared.log, compared.policy, compared.policy)
    assert alone.place(everything=False).tolist() == list(range(0, 2 * REQUESTS, 2))


def test_the_share_of_labelled_looks_is_read_once_for_all_metrics_of_a_task(
    compared: ComparedPolicies,
) -> None:
    """Ours is looked at in the first row of each request, of which every other is labelled."""
    outcome = replace(compared.log.outcomes["click"], weight=np.tile([1.0, 1.0, 0.0, 1.0], REQUESTS // 2))
    once = ReadOnce(click=outcome)
    half = ComparedPolicies(replace(compared.log, outcomes=once), compared.policy, compared.baseline)
    assert [half.labelled_share("click") for _ in range(2)] == [0.5, 0.5]
    assert not once
