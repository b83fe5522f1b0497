"""The laws of training, held to every kind of head: what has no influence, and what the bytes hang on.

::

    click   binary with weights of every kind      rank      an order within the request
    staged  from clicks, by predictions, by leaves spend     a mean; tweedie, quantile of the same
    late    learned from windows that are open     back      given its parent; entire on all impressions
    placed  position as a feature; looked by weight kept     answers weighed by who answers
"""

import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tasks.stores.workspace import Workspace
from tasks.training.draw_examples import draw_training_rows
from tasks.training.rows import TaskRows
from tasks.training.trees import find_start, grow_trees
from tests.feeds.small_feed import AS_OF, CANDIDATES, NAME, SURFACE, labelled, write_contracts, write_logs
from tests.training.test_draw_examples import with_columns

Feed = tuple[Workspace, str]

SEEN = {"observed_when": {"column": "visible"}}
CLICK: dict[str, Any] = {"family": "engagement", "positive": {"event": "click", "within": "P1D"}, **SEEN}
BUY: dict[str, Any] = {"family": "conversion", "positive": {"event": "buy", "within": "P2D"}, **SEEN}
SPEND: dict[str, Any] = {
    "family": "conversion",
    "kind": "value",
    "value": {"event": "buy", "within": "P2D", "aggregate": "sum"},
    **SEEN,
}
BACK: dict[str, Any] = {
    "family": "satisfaction",
    "positive": {"event": "back", "within": "P2D", "after": "sampled"},
}
HEADS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "click": (CLICK, {"weights": {"column": "trust", "half_life": "P5D", "balanced": True}}),
    "sampled": (BUY | {"sampling": {"negatives": 0.3, "by": {"category": {"b": 0.8}}}}, {}),
    "rank": (CLICK, {"objective": "lambdarank"}),
    "mean": (SPEND, {}),
    "tweedie": (SPEND, {"objective": "tweedie"}),
    "quantile": (SPEND, {"objective": "quantile", "quantile": 0.95}),
    "by_predictions": (BUY, {"start_from": {"task": "click", "by": "predictions"}}),
    "by_leaves": (BUY, {"start_from": {"task": "click", "by": "leaves"}}),
    "late": (BUY | {"positive": {"event": "buy", "within": "P3D"}}, {"delayed": True}),
    "back": (BACK, {}),
    "entire": (BACK, {"space": "entire"}),
    "placed": (CLICK, {"position": "feature"}),
    "looked": (CLICK, {"position": "weight"}),
    "bound": (CLICK, {"monotone": {"price": 1}}),
    "kept": (
        {"family": "satisfaction", "positive": BUY["positive"], "observed_when": {"event": "click"}},
        {"weights": {"column": "of_base", "response": {"clip": 10}}},
    ),
}


def contracts(folder: Path, **engine: Any) -> Path:
    """Write a surface that has a task of every kind, each weighed by a column."""
    surface = yaml.safe_load(SURFACE) | {
        "examination": {"by_position": [1.0, 0.8, 0.6, 0.45, 0.3]},
        "training": {"default": {"weights": {"column": "trust"}}}
        | {name: how for name, (_, how) in HEADS.items()},
    }
    tasks = {"contract": "laws", "version": 1, "tasks": {name: task for name, (task, _) in HEADS.items()}}
    utility = {
        "policy": "laws",
        "version": 1,
        "owner": "tests",
        "approvals": ["product"],
        "weights": {"click": 1.0},
    }
    return write_contracts(
        folder,
        surface=json.dumps(surface | ({"engine": engine} if engine else {})),
        tasks=json.dumps(tasks),
        utility=json.dumps(utility),
    )


def made(folder: Path, *, more: bool) -> Feed:
    """Write and label the small feed; with ``more``, among rows that must not count.

    The rows of one part weigh nothing, of the other nothing is observed; both have requests, items and
    events of their own. An answer can come from either, so by ``of_base`` both weigh nothing.
    """
    contracts(folder / "surfaces")
    logs = folder / "home/logs"
    write_logs(logs, requests_a_day=40)
    with_columns(folder, trust=_worth, of_base=_worth, position=_places)
    if more:
        for part, visible, trust in (("unseen", False, 1.0), ("worthless", True, 0.0)):
            write_logs(logs, part=part, visible=visible, requests_a_day=15, seed=8)
            with_columns(folder, part, trust=trust, of_base=0.0, position=_places)
    return labelled(folder)


def _worth(rows: int) -> np.ndarray:
    return 1.0 + np.arange(rows) % 3


def _places(rows: int) -> np.ndarray:
    return np.arange(rows) % CANDIDATES + 1


def digest_of(feed: Feed, task: str) -> str:
    """Train a task as its step does, and return the digest of the model's text."""
    rows = TaskRows.open(feed[0], task=task, as_of=AS_OF, snapshot=feed[1])
    start = find_start(rows, None)
    learned = draw_training_rows(rows, encoder=None if start is None else start.encoder)
    below = None if start is None else start.booster(learned.examples, threads=1)
    return sha256(grow_trees(rows, learned.examples, start=below).text.encode()).hexdigest()


@pytest.fixture(scope="module")
def feed(tmp_path_factory: pytest.TempPathFactory) -> Feed:
    return made(tmp_path_factory.mktemp("laws"), more=False)


@pytest.fixture(scope="module")
def with_more(tmp_path_factory: pytest.TempPathFactory) -> Feed:
    return made(tmp_path_factory.mktemp("laws_more"), more=True)


@pytest.fixture(scope="module")
def digests(feed: Feed) -> dict[str, str]:
    return {task: digest_of(feed, task) for task in HEADS}


def test_every_head_is_a_model_of_its_own(digests: dict[str, str]) -> None:
    assert len(set(digests.values())) == len(HEADS)


@pytest.mark.parametrize("task", HEADS)
def test_rows_unobserved_or_of_weight_0_leave_every_byte(
    with_more: Feed, digests: dict[str, str], task: str
) -> None:
    assert digest_of(with_more, task) == digests[task]


@pytest.mark.parametrize("task", HEADS)
@pytest.mark.parametrize("threads", [1, 2])
def test_the_bytes_are_the_same_on_any_number_of_threads(
    feed: Feed, digests: dict[str, str], tmp_path: Path, task: str, threads: int
) -> None:
    surfaces = contracts(tmp_path, threads=threads)
    asked = Workspace.open(NAME, surfaces=surfaces, home=feed[0].home)
    assert digest_of((asked, feed[1]), task) == digests[task]


PROGRAM = """
import sys
from pathlib import Path
from tasks.stores.workspace import Workspace
from tests.training.test_laws_of_every_head import HEADS, NAME, digest_of

workspace = Workspace.open(NAME, surfaces=Path(sys.argv[1]), home=Path(sys.argv[2]))
for task in HEADS:
    print(task, digest_of((workspace, sys.argv[3]), task))
"""


def test_the_same_snapshot_gives_the_same_bytes_in_another_process_on_three_threads(
    feed: Feed, digests: dict[str, str], tmp_path: Path
) -> None:
    surfaces, (workspace, snapshot) = contracts(tmp_path, threads=3), feed
    words = [sys.executable, "-c", PROGRAM, str(surfaces), str(workspace.home), snapshot]
    said = subprocess.run(words, capture_output=True, check=True, text=True).stdout
    assert dict(line.split() for line in said.splitlines()) == digests
