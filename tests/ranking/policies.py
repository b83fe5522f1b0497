"""Policies and candidates for the tests of this room, made by hand or by hypothesis."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from tasks.arrays import Floats
from tasks.contracts.slate import SlateSpec
from tasks.contracts.utility import UtilitySpec
from tasks.ranking.decide import Decision, decide

TASKS = ("click", "purchase", "hide")


def utility_json(**fields: Any) -> dict[str, Any]:
    """Return the canonical content of a utility policy, as the contract writes it."""
    base = {"policy": "p", "version": 1, "owner": "o", "approvals": ["product"], "weights": {"click": 1.0}}
    return UtilitySpec.model_validate(base | fields).model_dump(mode="json")


def slate_json(**fields: Any) -> dict[str, Any]:
    """Return the canonical content of a slate policy, as the contract writes it."""
    return SlateSpec.model_validate({"policy": "s", "version": 1, "length": 3} | fields).model_dump(
        mode="json"
    )


def frame_of(rows: Sequence[Mapping[str, Any]]) -> tuple[pd.DataFrame, dict[str, Floats]]:
    """Split rows into candidates and predictions."""
    frame = pd.DataFrame(list(rows))
    names = [name for name in map(str, frame) if name.startswith(("p_", "v_"))]
    predictions = {name: frame[name].to_numpy(np.float64) for name in names}
    return frame.drop(columns=names), predictions


def read_policies(
    utility: Mapping[str, Any] | None = None, slate: Mapping[str, Any] | None = None
) -> tuple[UtilitySpec, SlateSpec]:
    """Read two policies; those of `utility_json` and `slate_json` by default."""
    return (
        UtilitySpec.model_validate(utility or utility_json()),
        SlateSpec.model_validate(slate or slate_json()),
    )


def decide_rows(rows: Sequence[Mapping[str, Any]], *policies: Mapping[str, Any] | None) -> Decision:
    """Decide on rows; the policies are those of `read_policies`."""
    return decide(*frame_of(rows), *read_policies(*policies))


# few distinct values, so that ties, full caps and empty groups are common
_VALUES: dict[str, list[Any]] = {
    **{f"p_{task}": [0.0, 0.125, 0.25, 0.5, 1.0] for task in TASKS},
    "page": [None, "home", "checkout"],
    "creator": [None, "ana", "bo"],
    "category": ["tea", "jam", "rye"],
    "margin": [None, 0.5, 1.0, 2.0, 2.0],
    "stock": [None, 0, 1, 5, 9],
    "blocked": [None, False, False, False, True],
    **{flag: [None, False, False, True] for flag in ("sponsored", "fresh", "local", "must")},
}
_ITEMS = ["10", "9", "B", "Z", "a", "c", "é", "\uff5a", "\U0001d4b3"]


def candidate_rows(requests: int = 20) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Draw the rows of some requests of 1 to 9 candidates, in any order."""

    def rows(seed: int) -> list[dict[str, Any]]:
        random = np.random.default_rng(seed)
        made = [
            {"request_id": f"r{request}", "user_id": user, "item_id": item, "mode": mode}
            | {name: values[random.integers(len(values))] for name, values in _VALUES.items()}
            for request in range(requests)
            for mode in [[None, "child", "grown"][random.integers(3)]]
            for user in [[None, "u1", "u2"][random.integers(3)]]
            for item in random.permutation(_ITEMS)[: random.integers(1, 10)].tolist()
        ]
        return [made[row] for row in random.permutation(len(made))]

    return st.integers(0, 2**32 - 1).map(rows)


_WEIGHT = st.sampled_from([0.5, 1.0, 3.0])
_CAPPED = {"column": "margin", "cap": 1.5}
_TERM = st.one_of(
    _WEIGHT,
    st.fixed_dictionaries({"weight": _WEIGHT, "times": st.sampled_from(["margin", _CAPPED])}),
)
_RISK = {"risk": {"column": "stock", "weight": -0.25, "cap": 5}}
_BEST = {"best": {"greater_of": ["purchase", "click"], "weight": 2.0, "times": _CAPPED}}
_LIKED = {"liked": {"task": "purchase", "weight": 1.5, "where": {"click": {"min": 0.25}}}}
_TERMS = [{}, _RISK, _BEST | _LIKED, _RISK | _LIKED]
_LESS = {"name": "less_of_this", "when": {"creator": "ana"}, "factor": 0.3}
_MORE = {"name": "more_of_this", "when": {"creator": ["bo"], "category": ["tea", "jam"]}, "factor": 2.0}
_CONSTRAINTS = st.lists(
    st.sampled_from(
        [
            {"name": "blocked", "drop_when": {"column": "blocked", "equals": True}},
            {"name": "out_of_stock", "keep_when": {"column": "stock", "above": 0}},
            {"name": "overstock", "drop_when": {"column": "stock", "above": 5}},
            {"name": "too_cheap", "drop_when": {"column": "margin", "below": 1.0}},
            {"name": "not_listed", "keep_when": {"column": "category", "one_of": ["tea", "jam"]}},
        ]
    ),
    unique_by=lambda constraint: str(constraint["name"]),
    max_size=2,
)


def _context(draw: st.DrawFn, *, lifts: bool) -> dict[str, Any]:
    """Draw a context that replaces a weight and, each or not, what else a context may change."""
    more: dict[str, Any] = {
        "relevance_floor": {"click": 0.25, "hide": {"quantile": 0.5}},
        "terms": _BEST | {"liked": {"column": "margin", "weight": 0.5, "where": {"hide": {"min": 0.125}}}},
        "hard_constraints": [{"name": "rated", "keep_when": {"column": "fresh", "equals": True}}],
        "slate": {"length": 2, "max_per": {"category": 1}},
    }
    if lifts:
        more["multipliers"] = [
            _LESS | {"factor": 0.5},
            {"name": "tea", "when": {"category": "tea"}, "factor": 3.0},
        ]
    chosen = draw(st.sets(st.sampled_from(sorted(more))))
    when = {"mode": "child"} if "slate" in chosen else {"page": "checkout"}
    context = {"name": "own", "when": when, "weights": {"purchase": draw(_TERM)}}
    return context | {name: more[name] for name in sorted(chosen)}


@st.composite
def utility_policies(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a utility policy over the columns of ``candidate_rows``."""
    offset = draw(st.sampled_from([None, {"scale": 0.001}]))
    own = _context(draw, lifts=offset is not None)
    earlier = {"name": "grown", "when": {"mode": ["grown"]}, "weights": {"hide": -draw(_WEIGHT)}}
    contexts = draw(st.sampled_from([[], [own], [earlier, own]]))
    tiers = [{"task": "hide", "cuts": [0.25, 0.5]}, {"task": "click", "cuts": [0.5]}]
    return utility_json(
        weights={"click": draw(_TERM), "hide": -draw(_WEIGHT)},
        terms=draw(st.sampled_from(_TERMS)),
        contexts=contexts,
        offset=offset,
        multipliers=draw(st.sampled_from([[], [_LESS], [_LESS, _MORE]])) if offset else [],
        relevance_floor=draw(
            st.sampled_from([{}, {"click": 0.125}, {"click": {"quantile": 0.4}, "purchase": 0.25}])
        ),
        hard_constraints=draw(_CONSTRAINTS),
        lexicographic=draw(st.sampled_from([[], [], tiers[:1], tiers])),
    )


@st.composite
def slate_policies(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a slate policy over the columns of ``candidate_rows``."""

    def some(names: Sequence[str], least: int) -> dict[str, int]:
        return draw(st.dictionaries(st.sampled_from(names), st.integers(least, 3)))

    length = draw(st.integers(1, 6))
    drawn = draw(st.integers(0, length - 1))
    where = draw(st.sampled_from([{}, {"where": {"column": "local", "equals": True}}]))
    among = draw(st.sampled_from([{}, {"among": drawn + 1}]))
    return slate_json(
        length=length,
        exploration={"slots": drawn, "salt": "s", **where, **among} if drawn else None,
        max_per=some(["creator", "category"], 1),
        max_where=some(["sponsored", "fresh"], 0),
        min_where_if_available=some(["fresh", "local"], 1),
        required_first=draw(st.sampled_from([None, "must"])),
        decay=draw(st.sampled_from([None, {"by": "creator", "factor": 0.5, "floor": 0.25}])),
        diversity=draw(
            st.sampled_from([None, {"by": "category", "strength": 0.25}, {"by": "creator", "strength": 1.0}])
        ),
    )
