"""A boost of a group moves its candidates up, and nothing that keeps a candidate out."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.contracts.slate import SlateSpec
from tasks.contracts.utility import UtilitySpec
from tasks.errors import DataError
from tasks.ranking.decide import Decision, decide
from tasks.ranking.scoring import Scorer
from tests.feeds.toy_release import a_frame, toy_files
from tests.ranking.policies import candidate_rows, frame_of, slate_json, slate_policies, utility_json
from tests.ranking.policies import utility_policies as policies

EXPOSURE = {"by": "category", "least": {"jam": 0.8}, "most": 9.0}


def decided(rows: list[dict[str, Any]], utility: Any, slate: Any, boost: float) -> Decision:
    frame, predictions = frame_of(rows)
    policy = SlateSpec.model_validate(slate | {"exposure": EXPOSURE}).boosted({"category": {"jam": boost}})
    return decide(frame, predictions, UtilitySpec.model_validate(utility), policy)


def ranked(boost: float) -> list[str]:
    """Return two jams and two teas, of which one has a negative utility, as they are ranked."""
    chances = {"a": 0.4, "b": 0.3, "c": 0.2, "d": -0.1}
    rows = [
        {"request_id": "r", "item_id": item, "p_click": p, "category": "jam" if item in "bd" else "tea"}
        for item, p in chances.items()
    ]
    frame = decided(rows, utility_json(), slate_json(length=4), boost).frame
    return frame.sort_values("rank")["item_id"].tolist()


def test_a_boost_is_added_so_that_a_negative_utility_rises_too() -> None:
    assert [ranked(0.0), ranked(0.2), ranked(0.35)] == [[*"abcd"], [*"bacd"], [*"badc"]]


@settings(max_examples=30)
@given(candidate_rows(), policies(), slate_policies(), st.sampled_from([0.01, 1.0, 9.0, 100.0]))
def test_no_boost_lets_in_what_a_constraint_floor_or_cap_keeps_out(
    rows: Any, utility: Any, slate: Any, boost: float
) -> None:
    plain, boosted = (decided(rows, utility, slate, by) for by in (0.0, boost))
    assert boosted.drops.codes.tolist() == plain.drops.codes.tolist()
    np.testing.assert_array_equal(boosted.utility, plain.utility)
    assert not boosted.slate_position[~boosted.drops.kept].any()
    assert not any(rule.unmet.any() for rule in boosted.certificates.rules if rule.at_most)
    if boosted.tier is not None:
        assert boosted.tier.tolist() == (plain.tier if plain.tier is not None else np.array([])).tolist()


def test_a_scorer_shows_what_it_added_and_refuses_what_is_no_boost() -> None:
    exposure = b'"exposure": {"by": "source", "least": {"ads": 0.5}, "most": 2.0}, '
    files = toy_files()
    plain = Scorer.from_files(files)
    scorer = Scorer.from_files(files | {"slate.json": files["slate.json"].replace(b"{", b"{" + exposure, 1)})
    frame = a_frame()
    shown = scorer.boosted('{"source": {"ads": 5, "feed": 1}, "tier": {"new": 1}}').score(frame)
    assert shown["exposure_boost"].tolist() == np.where(frame["source"] == "ads", 2.0, 0.0).tolist()
    assert "exposure_boost" not in plain.boosted('{"source": {"ads": 5}}').score(frame)
    ads = (frame["source"] == "ads").to_numpy()
    placed = [
        one.score(frame)["slate_position"].notna()[ads].sum()
        for one in (scorer, scorer.boosted('{"source": {"ads": 2}}'))
    ]
    assert placed[0] < placed[1]
    for wrong in ("{", "[]", '{"source": {"ads": -1}}', '{"source": {"ads": NaN}}'):
        with pytest.raises(DataError, match="Boosts are"):
            scorer.boosted(wrong)
