"""Decided blocks of a few rows, by hand."""

from typing import Any

import numpy as np
import pandas as pd

from tasks.evaluation.evidence import SlateRule
from tasks.replay.decided_slice import BASELINE, POLICY, DecidedBlock, EntrantKey
from tasks.replay.evidence import ConstraintLeak
from tasks.replay.log import PolicySlates
from tasks.replay.read_log import WORDS, LogReading, read_block

LINKS = {"click": ("click",)}
LEAK = ConstraintLeak(constraint="legal", items=2)
RULE = SlateRule(rule="length", slates=1, unmet=1, too_few=0, slots_short=2)


def frame_of(requests: list[str], **columns: Any) -> pd.DataFrame:
    plain = {"request_id": requests, "user_id": requests, "item_id": [*map(str, range(len(requests)))]}
    return pd.DataFrame({**plain, "shown_at": pd.Timestamp("2026-03-01T09:00:00Z"), "click": 0.0, **columns})


def decided(request: str = "r", *, no_order: str = "", **columns: Any) -> DecidedBlock:
    """Return a request of three candidates: the first was shown and the second is in a slot."""
    frame = frame_of([request] * 3, shown=[True, False, False], click=[1.0, np.nan, np.nan], **columns)
    words: pd.Categorical[Any] = pd.Categorical(["new", "old", "new"])
    ours = PolicySlates(
        "ours",
        slot=np.array([0, 1, 0], dtype=np.int32),
        predictions={"click": np.array([0.1, 0.2, np.nan])},
        where_shown={"click": np.array([0.5])},
        utility=np.array([1.0, np.nan, -0.0]),
        contributions={"z": np.array([1.0, 2.0, 3.0]), "a": np.array([0.1, 0.2, 0.3])},
        worth={"click": np.array([4.0, 5.0])},
        rank=np.array([2, 1, 0], dtype=np.int32),
        release=7,
    )
    theirs = PolicySlates(
        "" if no_order else "logged order", np.array([1, 0, 0], dtype=np.int32), follows_log=True
    )
    return DecidedBlock(
        log=read_block(frame, LogReading(LINKS, segments={"tenure": words}, kinds={"tenure": WORDS})),
        kept=np.array([0, 1]),
        slates={POLICY: ours, EntrantKey("others", "a/b"): ours, BASELINE: theirs},
        predicted={POLICY: {"p_click": np.array([0.4])}},
        rules=(RULE,),
        no_order=no_order,
        leaks={"ours": (LEAK,)},
    )
