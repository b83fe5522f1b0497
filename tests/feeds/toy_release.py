"""A release small enough to be made in a test: three heads, a hard constraint, a context and a slate of two.

::

    toy_files()           the release folder's files, by path
    a_frame()             candidates that it scores
    register_toy(home)    the release in a registry, with the pins of its parts; the same bytes are one version
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd

from tasks.contracts import SlateSpec, UtilitySpec, canonical
from tasks.ranking.features import FeatureEncoder
from tasks.ranking.maps import LogisticMap, MeanMap
from tasks.ranking.scoring import Scorer
from tasks.release.packaging import number_columns, package_release, release_signature, typical_request
from tasks.stores.manifest import Manifest, Part, PinnedPart, PinnedSnapshot, Role
from tasks.stores.store import Store

NAME = "toy"
AS_OF = datetime(2026, 5, 11, 4, tzinfo=UTC)
UTILITY = UtilitySpec.model_validate(
    {
        "policy": "toy-utility",
        "version": 1,
        "owner": "ranking",
        "approvals": ["product"],
        "weights": {"click_30m": 1.0, "buy_7d": {"weight": 20.0, "times": "margin"}},
        "hard_constraints": [{"name": "not_permitted", "keep_when": {"column": "permitted", "equals": True}}],
        "contexts": [{"name": "checkout", "when": {"page": "checkout"}, "weights": {"click_30m": 2.0}}],
    }
)
SLATE = SlateSpec.model_validate({"policy": "toy-slate", "version": 1, "length": 2, "max_per": {"source": 1}})
HEADS: list[dict[str, str | None]] = [
    {"task": "click_30m", "kind": "binary", "level": "impression", "parent": None},
    {"task": "buy_7d", "kind": "binary", "level": "impression", "parent": "click_30m"},
    {"task": "spend_7d", "kind": "value", "level": "impression", "parent": None},
]


def a_frame(requests: int = 50, each: int = 4, seed: int = 0) -> pd.DataFrame:
    """Make candidates, some of which no slate may hold."""
    rng = np.random.default_rng(seed)
    rows = requests * each
    return pd.DataFrame(
        {
            "request_id": np.repeat([f"r{i:03d}" for i in range(requests)], each),
            "item_id": np.tile([f"i{i}" for i in range(each)], requests),
            "price": rng.uniform(1, 9, rows),
            "source": rng.choice(["search", "feed", "ads"], rows),
            "margin": rng.uniform(0.1, 1, rows),
            "page": np.repeat(rng.choice(["home", "checkout"], requests), each),
            "permitted": rng.uniform(size=rows) > 0.1,
        }
    )


def toy_files() -> dict[str, bytes]:
    """Make a release folder's files, without its manifest."""
    frame = a_frame()
    encoder = FeatureEncoder.fit(frame, ["price"], ["source"])
    matrix, rng = encoder.matrix(frame), np.random.default_rng(1)
    maps = {"spend_7d": MeanMap((1.0,), (1.1,), floor=0.01)}
    made = {
        "heads.json": json.dumps({"heads": HEADS}).encode(),
        "utility.json": json.dumps(canonical(UTILITY)).encode(),
        "slate.json": json.dumps(canonical(SLATE)).encode(),
        "joints/buy_7d.json": json.dumps(LogisticMap(1.0, 0.3).to_json()).encode(),
    }
    for head in HEADS:
        task, value = str(head["task"]), head["kind"] == "value"
        target = frame["price"] * 2 if value else rng.uniform(size=len(frame)) < 1 / frame["price"]
        settings = {"objective": "regression" if value else "binary", "verbosity": -1, "num_threads": 1}
        data = lgb.Dataset(matrix, label=target, feature_name=list(encoder.names))
        booster = lgb.train({**settings, "num_leaves": 4}, data, num_boost_round=5)
        made[f"models/{task}.txt"] = booster.model_to_string().encode()
        made[f"encoders/{task}.json"] = json.dumps(encoder.to_json()).encode()
        calibrator = maps.get(task, LogisticMap(0.9, -0.1))
        made[f"calibrators/{task}.json"] = json.dumps(calibrator.to_json()).encode()
    return made


def toy_manifest(surface: str = NAME, heads: Sequence[Mapping[str, str | None]] = HEADS) -> Manifest:
    """Return the manifest that pins the heads' models as versions 1, 2, 3 and their maps as 11, 12, 13."""
    day = date(2026, 5, 1)
    parts = [
        replace(
            PinnedPart(f"{surface}.{role}.{head['task']}", version, "c" * 64, role), task=str(head["task"])
        )
        for role, first in ((Role.TASK, 1), (Role.CALIBRATOR, 11))
        for version, head in enumerate(heads, start=first)
    ]
    return Manifest(
        surface=surface,
        as_of=AS_OF,
        snapshot=PinnedSnapshot("0" * 16, "a" * 64, "b" * 64, AS_OF),
        contracts={},
        test=(day, day),
        parts=tuple(parts),
        files={},
        code={},
    )


def register_toy(home: Path, files: Mapping[str, bytes] | None = None, **utility: Any) -> Part:
    """Register the release under a utility policy that may differ, and let it be the champion."""
    own = dict(files or toy_files())
    own["utility.json"] = json.dumps(json.loads(own["utility.json"]) | utility).encode()
    frame = a_frame()
    return register(home, own, frame.assign(violates=False, skills=pd.Series([["sell"]] * len(frame))))


def register(home: Path, own: Mapping[str, bytes], frame: pd.DataFrame, *, surface: str = NAME) -> Part:
    """Register the files of a release, which scores frames like this one, and let it be the champion."""
    scorer = Scorer.from_files(own)
    frame = frame[[*scorer.columns]]
    signature = release_signature(frame, scorer.score(frame.head(0)))
    numbers, example = number_columns(frame), typical_request(frame)
    manifest = toy_manifest(surface, json.loads(own["heads.json"])["heads"])
    packaged, closed = package_release(own, manifest, signature=signature, numbers=numbers, example=example)
    Store.open(home).aliases(surface).begin()
    registry = Store.open(home).registry
    run = registry.client.create_run(registry.client.create_experiment(f"{surface}-{closed.digest}"))
    part = registry.register(
        f"{surface}.release", packaged, run_id=run.info.run_id, tags={}, model_type="release"
    )
    registry.set_alias(part, "champion")
    return part
