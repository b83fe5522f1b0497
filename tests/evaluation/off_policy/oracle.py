"""What the Open Bandit Pipeline made of small arrays and of its own data; see `make_oracle`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tasks.evaluation.binary import Floats
from tasks.evaluation.off_policy.slates import LoggedSlates
from tasks.evaluation.off_policy.slots import LoggedSlots


def read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((Path(__file__).parent / name).read_text(encoding="utf-8"))
    return content


@dataclass(frozen=True)
class SlotOracle:
    """Rows of single slots, with the pipeline's limits and estimates."""

    rows: LoggedSlots
    tau: float
    shrinkage: float
    estimates: dict[str, float]


def slot_oracle() -> SlotOracle:
    told = read("slots.json")
    action, position, dist, q = (np.array(told[n]) for n in ("action", "position", "action_dist", "q_hat"))
    n = np.arange(len(action))
    rows = LoggedSlots(
        np.array(told["reward"]),
        dist[n, action, position] / np.array(told["pscore"]),
        q[n, action, position],
        (dist * q).sum(axis=1)[n, position],
    )
    return SlotOracle(rows, told["tau"], told["shrinkage"], told["estimates"])


@dataclass(frozen=True)
class SlateOracle:
    """Slates with expected rewards of each slot's item and of one that the target draws."""

    slates: LoggedSlates
    predicted: Floats
    expected: Floats
    estimates: dict[str, float]


def slate_oracle() -> SlateOracle:
    told = read("slates.json")
    action, target, q = (np.array(told[n]) for n in ("action", "target", "q_hat"))
    at = (np.arange(len(action))[:, None], np.arange(action.shape[1])[None, :], action)
    slates = LoggedSlates(np.array(told["reward"]), target[at] / np.array(told["logging"])[at])
    return SlateOracle(slates, q[at], (target * q).sum(axis=2), told["estimates"])
