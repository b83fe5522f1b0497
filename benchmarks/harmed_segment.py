"""How often a harmed segment blocks a release: ``python -m benchmarks.harmed_segment``.

The simulated world cannot be drawn often enough, so arrays are drawn: two policies that agree on 60 % of
their slots, users who return, and outcomes moved by items, users and days. Users belong to one of eight
regions and of three tenures, items to one of six categories. Either no segment loses anything, or one region
loses 20 %. Printed are how often a segment blocks, how often one would by an interval wholly beyond twice the
margin (Benjamini and Hochberg at .05), how often the whole passes, and how often both promote.
"""

import argparse
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.stats import false_discovery_control

from tasks.contracts.utility import Primary
from tasks.evaluation.calibration_verdicts import FALSE_DISCOVERIES
from tasks.evaluation.clustered import Ratio, RowClusters
from tasks.evaluation.evidence import Measured
from tasks.evaluation.subjects import ALL, Segment, Subject, Threshold
from tasks.evaluation.verdicts import Outcome, beyond_p_value
from tasks.replay.grouped import GroupedRows, PairedEstimates, grouped_ratio, paired_estimates
from tasks.replay.guardrails import evaluate_primary, evaluate_primary_segments

SLOTS: Final = 10
SHARED: Final = 0.6
BASE: Final = 0.05
SIZES: Final = ((400, 14), (2000, 7))
LOSS: Final = 0.2
PRIMARY: Final = Primary()
TWICE: Final = Threshold(low=-2 * PRIMARY.relative_decrease_max)
REGIONS, TENURES, CATEGORIES = 8, 3, 6


@dataclass(frozen=True)
class Log:
    """Rows of either policy's slots, and what each row adds to the sums of both policies."""

    clusters: RowClusters
    policy: Ratio
    baseline: Ratio


def draw(rng: np.random.Generator, *, requests_per_day: int, days: int, loss: float) -> Log:
    """Draw a log in which region 0 truly loses a share of its outcomes, and nothing else differs."""
    requests, users, items = requests_per_day * days, requests_per_day * 5, 1000
    request = np.repeat(np.arange(requests), SLOTS)
    user, day = rng.integers(users, size=requests)[request], request // requests_per_day
    shared = rng.random(len(request)) < SHARED
    ours, other = rng.choice(items, size=(2, len(request)))
    theirs = np.where(shared, ours, other)
    chance = BASE * _effects(rng, 0.4, users)[user] * _effects(rng, 0.1, days)[day]
    of_item = _effects(rng, 0.3, items)
    kept = np.where((user % REGIONS == 0) & ~shared, 1 - loss / (1 - SHARED), 1.0)
    first, second = (
        (rng.random(len(chance)) < chance * of_item[item] * _effects(rng, 0.03, days)[day] * left).astype(
            float
        )
        for item, left in ((ours, kept), (theirs, 1.0))
    )
    own = ~shared
    none, ones = np.zeros(np.count_nonzero(own)), np.ones(np.count_nonzero(own))
    policy, baseline = np.r_[first, none], np.r_[np.where(shared, first, 0.0), second[own]]
    return Log(
        RowClusters(np.r_[user, user[own]], np.r_[ours, theirs[own]], np.r_[day, day[own]]),
        Ratio(policy, np.r_[np.ones(len(first)), none], positives=policy > 0),
        Ratio(baseline, np.r_[shared.astype(float), ones], positives=baseline > 0),
    )


def changes(log: Log) -> tuple[Measured, list[Measured]]:
    """Measure the change on the whole and in every segment."""
    users, items = log.clusters.users, log.clusters.items
    columns = {
        "all": (np.zeros_like(users), 1),
        "region": (users % REGIONS, REGIONS),
        "tenure": (users // REGIONS % TENURES, TENURES),
        "category": (items % CATEGORIES, CATEGORIES),
    }
    whole, *segments = (
        _measured(ALL if name == "all" else Segment(name, str(code)), change)
        for name, (codes, count) in columns.items()
        for code, change in enumerate(_estimates(log, codes, count))
    )
    return whole, segments


def _estimates(log: Log, codes: npt.NDArray[np.int64], count: int) -> list[PairedEstimates]:
    rows = GroupedRows.of(codes, count, log.clusters)
    policy, baseline = (grouped_ratio(ratio, rows) for ratio in (log.policy, log.baseline))
    return list(paired_estimates(policy, baseline, rows))


def _measured(segment: Segment, figures: PairedEstimates) -> Measured:
    subject = Subject("observed_utility")
    return Measured(subject, segment, "", None, None, figures.relative, events=figures.events)


def _effects(rng: np.random.Generator, spread: float, count: int) -> npt.NDArray[np.float64]:
    """Draw effects of mean 1, log-normal."""
    return np.exp(spread * rng.standard_normal(count) - spread**2 / 2)


def judge(log: Log) -> tuple[bool, bool, bool]:
    """Return whether a segment blocks, whether one would by its interval, and whether the whole passes."""
    whole, segments = changes(log)
    blocks = any(
        v.outcome is Outcome.BLOCK for v in evaluate_primary_segments(PRIMARY, whole, segments, {}, run="")
    )
    beyond = [1.0 if one.relative is None else beyond_p_value(one.relative, TWICE) for one in segments]
    passes = evaluate_primary(PRIMARY, whole, run="").outcome is Outcome.PASS
    return blocks, bool((false_discovery_control(beyond) <= FALSE_DISCOVERIES).any()), passes


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--logs", type=int, default=200)
    logs = parser.parse_args().logs
    print("| log | region's loss | logs | a segment blocks | by interval | whole passes | promoted |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for requests, days in SIZES:
        for loss in (0.0, LOSS):
            drawn = (
                draw(np.random.default_rng(seed), requests_per_day=requests, days=days, loss=loss)
                for seed in range(logs)
            )
            judged = np.array([judge(log) for log in drawn])
            blocks, by_interval, passes = judged.mean(axis=0)
            both = np.mean(judged[:, 2] & ~judged[:, 0])
            figures = " | ".join(f"{one:.2f}" for one in (blocks, by_interval, passes, both))
            print(f"| {requests} x {days} | {loss:.0%} | {logs} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
