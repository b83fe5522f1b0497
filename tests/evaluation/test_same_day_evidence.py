"""What a changed recipe loses on the same days comes back from JSON as it was, and nothing unknown with it."""

import json
from datetime import date
from math import nan

import pytest

from tasks.errors import ContractError, StoreError
from tasks.evaluation.evidence import PinnedModel
from tasks.evaluation.replay_evidence import ChampionComparison
from tasks.evaluation.same_day_evidence import SameDayEvidence
from tasks.evaluation.verdicts import Estimate

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
