"""Surveys: answers weighed by how seldom their like answer, held against the truth of answers and of all."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from benchmarks.learning.days import Days
from benchmarks.learning.feed import (
    FEATURES,
    Bools,
    Distance,
    Feed,
    Floats,
    calibrated,
    learned,
    predicted,
)
from tasks.ranking.features import FeatureEncoder
from tasks.training.debiasing import response_probabilities, response_weights

CLIP = 20.0


@dataclass(frozen=True)
class Survey:
    """Distances of P(happy) from the truth given an answer, and from the truth whoever answers."""

    of_answers: Distance
    of_all: Distance


def surveys(feed: Feed) -> dict[str, Survey]:
    """Learn happiness from answers, each as one, and weighed."""
    found = {}
    for name, weigh in (("answers as they come", _alike), ("weights.response", _by_response)):
        head = learned(feed.train, _happy(feed.train), answered(feed.train), weigh=weigh, leaves=8)
        head = calibrated(head, feed.calibrate, _happy(feed.calibrate), answered(feed.calibrate))
        said = predicted(head, feed.test)
        found[name] = Survey(
            Distance.of(said, feed.test.at_reference["survey_happy_14d"]),
            Distance.of(said, feed.test.happy),
        )
    return found


def answered(days: Days) -> Bools:
    """Which rows were answered."""
    return np.isfinite(days.stars)


def _happy(days: Days) -> Floats:
    return (np.nan_to_num(days.stars) >= 4).astype(float)


def _alike(days: Days, rows: Bools, labels: Floats, scores: Floats | None) -> None:
    """Let every answer weigh the same."""


def _by_response(days: Days, rows: Bools, labels: Floats, scores: Floats | None) -> Floats:
    encoder = FeatureEncoder.fit(days.frame, FEATURES.numeric, FEATURES.categorical)
    asked = pa.table(dict(zip(encoder.names, encoder.matrix(days.frame).T, strict=True)))
    half = days.frame["user_id"].map(_half).to_numpy()
    found = response_probabilities(
        asked,
        rows,
        half,
        of=asked.filter(pa.array(rows)),
        of_half=half[rows],
        categorical=encoder.categorical,
    )
    return response_weights(found, rate=float(rows.mean()), clip=CLIP)


def _half(user: str) -> bool:
    """Say which half of the users one belongs to."""
    return int(user[1:]) % 2 == 0
