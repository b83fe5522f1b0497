"""A registered model comes back as the trees and the encoder that were written."""

import json

import lightgbm as lgb
import numpy as np

from tasks.ranking.features import FeatureEncoder
from tasks.stores.parts import BOOSTER, ENCODER
from tasks.training.examples import Examples
from tasks.training.fit import fit_head
from tasks.training.learning import Learning
from tasks.training.trees import Start, read_model

PRICE = np.arange(100.0)[:, None]
EXAMPLES = Examples(PRICE, (PRICE[:, 0] > 49).astype(float), np.zeros(100, dtype=bool), ("price",))


def trained() -> lgb.Booster:
    return fit_head(EXAMPLES, Learning(parameters={"rounds": 3}), threads=1).booster


def test_a_model_is_read_from_its_files() -> None:
    booster, encoder = trained(), FeatureEncoder(("price",), {})
    files = {
        BOOSTER: booster.model_to_string().encode(),
        ENCODER: json.dumps(encoder.to_json()).encode(),
    }
    again, known = read_model(files)
    assert known.same_as(encoder)
    np.testing.assert_array_equal(again.predict(PRICE), booster.predict(PRICE))


def test_a_champion_s_trees_are_continued_as_they_are() -> None:
    booster = trained()
    assert Start(booster, FeatureEncoder(("price",), {}), "champion").booster(EXAMPLES, threads=1) is booster
