"""The change of a rate where labels are known less often down the page: a feed that tells what was visible.

::

    log        six places of fifteen candidates, drawn by Plackett-Luce with propensities
    visible    98 % of the first place, less and less to 12 % of the sixth; a label is known where visible
    release    ranks by what people like, with noise; the baseline is the logged order
    truth      the change of the rate, from the chances by which the clicks were drawn
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.covering.interval import Interval
from tasks import columns as c
from tasks.contracts.metrics import Metric, MetricKind
from tasks.datasets.world.feed import place
from tasks.replay.log import PolicySlates
from tasks.replay.read_log import LogReading, candidate_log
from tasks.replay.replay_policies import Replay

Floats = npt.NDArray[np.float64]

LOOKS = np.array([1.0, 0.9, 0.8, 0.7, 0.6, 0.5])
VISIBLE = np.array([0.98, 0.8, 0.6, 0.4, 0.25, 0.12])
CANDIDATES = 15


def fading_visibility(runs: int) -> Iterator[Interval]:
    """Yield the interval of the change of the click rate against the logged order, and the true change."""
    for seed in range(runs):
        yield from _interval(np.random.default_rng(seed))


def _interval(rng: np.random.Generator, requests: int = 1200) -> Iterator[Interval]:
    shape = (requests, CANDIDATES)
    items = rng.permuted(np.tile(np.arange(300), (requests, 1)), axis=1)[:, :CANDIDATES]
    signal = 0.6 * rng.normal(size=300)[items] + 0.8 * rng.normal(size=shape)
    chance = _chance(signal)
    placed = place(0.7 * signal + 0.7 * rng.normal(size=shape), len(LOOKS), rng)
    position, propensity = np.full(shape, np.nan), np.full(shape, np.nan)
    np.put_along_axis(position, placed.order, np.arange(1.0, len(LOOKS) + 1)[None, :], axis=1)
    np.put_along_axis(propensity, placed.order, placed.propensity, axis=1)
    shown, slot = np.isfinite(position), np.nan_to_num(position).astype(np.int64)
    at = np.maximum(slot, 1) - 1
    known = shown & (rng.random(shape) < VISIBLE[at])
    frame = pd.DataFrame(
        {
            c.REQUEST_ID: np.repeat(np.arange(requests), CANDIDATES),
            c.USER_ID: np.repeat(rng.integers(0, requests // 2, requests), CANDIDATES),
            c.ITEM_ID: items.ravel(),
            c.SHOWN_AT: pd.Timestamp("2026-03-01T09:00:00Z")
            + pd.to_timedelta(np.repeat(np.arange(requests) * 7 // requests, CANDIDATES), unit="D"),
            c.POSITION: position.ravel(),
            c.PROPENSITY: propensity.ravel(),
            c.SHOWN: shown.ravel(),
            "click": np.where(known, rng.random(shape) < chance * LOOKS[at], np.nan).ravel(),
        }
    )
    log = candidate_log(frame, LogReading({"click": ("click",)}, examination=LOOKS))
    believed = _chance(signal + 0.5 * rng.normal(size=shape))
    rank = (-believed).argsort(axis=1).argsort(axis=1) + 1
    said = {"click": believed.ravel()}
    release = PolicySlates("release", np.where(rank <= len(LOOKS), rank, 0).ravel(), said, said)
    logged = PolicySlates("logged order", slot.ravel(), follows_log=True)
    (measured,) = Replay(log, release).measure(Metric(MetricKind.RATE, "click"), release, logged, ())
    if measured.relative is not None and not measured.reason:
        true = _rate(release, chance) / _rate(logged, chance) - 1
        yield Interval(measured.relative.low, measured.relative.high, true)


def _chance(signal: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(2.0 - signal)))


def _rate(slates: PolicySlates, chance: Floats) -> float:
    looks = np.where(slates.slot > 0, LOOKS[np.maximum(slates.slot, 1) - 1], 0.0)
    return float((looks * chance.ravel()).sum() / looks.sum())
