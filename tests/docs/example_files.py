"""The files of docs/examples that the program writes, and the table of all: ``python -m tests.docs.example_files``.

::

    home_feed/*.yaml    contracts, written by hand
    row.json            a labelled row of `labels export --format jsonl`, from a log of one impression
    scored.json         a row of `score`       both by a release under the policies of home_feed/, whose heads
    explained.txt       what `explain` prints  predict the same probabilities for every candidate
    index.md            which example stands where
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from datetime import UTC, datetime, timedelta
from io import StringIO
from math import log
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import lightgbm as lgb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.cli import main
from tasks.contracts import Contracts, canonical, load_surface
from tasks.labels import build as labels
from tasks.ranking.features import FeatureEncoder
from tasks.ranking.maps import LogisticMap, MeanMap
from tasks.stores.workspace import Workspace
from tests.docs.pages import DOCS
from tests.feeds.toy_release import register
from tests.stores.mlflow_home import new_home

FOLDER: Final = DOCS / "examples"
NAME: Final = "home_feed"
SHOWN_AT: Final = datetime(2026, 3, 2, 9, tzinfo=UTC)
EXAMPLES: Final = (
    ("A label contract with every kind of task", "home_feed/tasks.yaml",
     "also declares the components of `satisfied_7d`"),
    ("A surface: sources, features, slices, gates", "home_feed/surface.yaml",
     "the baseline of a decision is always the champion, so no key names it"),
    ("A utility policy with contexts, multipliers and guardrails", "home_feed/utility.yaml",
     "`return_30d` costs, so it has a guardrail"),
    ("A slate policy with every rule", "home_feed/slate.yaml", ""),
    ("Other values of these keys", "variants.yaml", ""),
    ("A data row: value and observed of each label, and loss weights", "row.json",
     "bought ten days ago, so whether it is sent back is not known yet"),
    ("The output: predictions, calibration and model versions", "scored.json",
     "`p_return_30d` is joint: .004 x .2"),
    ("The debug view: each prediction, weight and contribution", "explained.txt", ""),
    ("The smallest production plan", "../../surfaces/minimal/utility.yaml",
     "three tasks are trained; reports are only measured, for their guardrail"),
)  # fmt: skip
"""What is shown, its file below docs/examples, and a remark."""
HEAD: Final = """# Examples

Contracts, and what the program prints under them. `python -m tests.docs.example_files` writes this page and what is
printed.

"""
KEYS: Final = {"request_id": "r1", "user_id": "u1", "item_id": "i1"}
PREDICTED: Final = {
    "click_30m": 0.08,
    "purchase_7d": 0.004,
    "return_30d": 0.2,  # of those who buy: jointly .0008
    "satisfied_7d": 0.03,
    "survey_happy_14d": 0.6,
    "dwell_60s_1d": 0.04,
    "hide_7d": 0.01,
    "report_7d": 0.0001,
    "watch_seconds_1d": 12.0,
}
COMMON: Final = {
    "request_id": "r1",
    "user_id": "u1",
    "price": 9.0,
    "item_age_days": 3.0,
    "source": "trending",
    "category": "books",
    "device": "phone",
    "margin": 1.0,
    "user_tenure": "new",
    "network": "in",
    "user_control": "none",
    "page": "home",
    "mode": "adult",
    "child_safe": True,
    "policy_violation": False,
    "permitted": True,
    "creator": "c1",
    "sponsored": False,
    "seen_recently": False,
    "exploration": False,
    "policy_required": False,
}
CANDIDATES: Final = (
    {"item_id": "i1", "margin": 1.3},
    {"item_id": "i2", "margin": 2.0, "creator": "c2", "network": "out"},
    {"item_id": "i3", "margin": 9.0, "creator": "c3", "policy_violation": True},
    {"item_id": "i4", "margin": 0.5, "category": "garden", "policy_required": True},
    {"item_id": "i5", "creator": "c1", "exploration": True},
)


def labelled_row(home: Path) -> dict[str, Any]:
    """Label an impression that was clicked and bought a moment later, ten days after; return its line."""
    logs = home / "logs" / NAME
    features = load_surface(FOLDER, NAME).surface.features
    known = {
        name: COMMON[name] for name in (*features.numeric, *features.categorical, "margin", "user_tenure")
    }
    known |= {**KEYS, "served_at": SHOWN_AT, "visible": True}
    events = [("click", 60), ("purchase", 600), ("dwell", 120)]
    happened = [
        {**KEYS, "event": name, "happened_at": SHOWN_AT + timedelta(seconds=seconds), "value": 75.0}
        for name, seconds in events
    ]
    happened += [
        {
            **KEYS,
            "event": "visit",
            "item_id": None,
            "happened_at": SHOWN_AT + timedelta(days=10),
            "value": None,
        }
    ]
    for table, rows in (("impressions", [known]), ("events", happened)):
        (logs / table).mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows), logs / table / "a.parquet")
    workspace = Workspace.open(NAME, surfaces=FOLDER, home=new_home(home))
    labels.run(workspace, as_of=SHOWN_AT + timedelta(days=10, hours=1))
    out = home / "labels.jsonl"
    _run("labels", "export", NAME, "--format", "jsonl", "--out", str(out), home=home)
    (line,) = out.read_text(encoding="utf-8").splitlines()
    row: dict[str, Any] = json.loads(line)
    return row


def outputs(home: Path) -> tuple[dict[str, Any], str]:
    """Score and explain one request with a release under the example's policies; return a row and the text."""
    contracts = load_surface(FOLDER, NAME)
    frame = pd.DataFrame([COMMON | one for one in CANDIDATES])
    register(new_home(home), dict(_release_files(contracts, frame)), frame, surface=NAME)
    source, out = home / "candidates.parquet", home / "scored.parquet"
    frame.to_parquet(source)
    where = ("--release", "1", "--input", str(source))
    _run("score", NAME, *where, "--out", str(out), home=home)
    scored = json.loads(pd.read_parquet(out).to_json(orient="records", double_precision=6))
    text = _run("explain", NAME, *where, "--request", "r1", home=home)
    return scored[0], re.sub(r"no errors: .*?\n\n", "\n", text, flags=re.DOTALL)  # a run without test days


def _release_files(contracts: Contracts, frame: pd.DataFrame) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a release whose heads predict `PREDICTED`, under the policies of the contracts."""
    features = contracts.surface.features
    encoder = FeatureEncoder.fit(frame, list(features.numeric), list(features.categorical))
    data = lgb.Dataset(encoder.matrix(frame), label=[1.0] * len(frame), params={"verbosity": -1})
    booster = lgb.train({"verbosity": -1, "num_threads": 1}, data, num_boost_round=1)
    heads = []
    for task, spec in contracts.tasks.tasks.items():
        parent = spec.positive.after if spec.positive is not None else None
        heads.append({"task": task, "kind": spec.kind, "level": spec.level, "parent": parent})
        yield f"models/{task}.txt", booster.model_to_string().encode()
        yield f"encoders/{task}.json", json.dumps(encoder.to_json()).encode()
        yield f"calibrators/{task}.json", json.dumps(_map_to(PREDICTED[task], spec.kind)).encode()
    yield "heads.json", json.dumps({"heads": heads}).encode()
    yield "utility.json", json.dumps(canonical(contracts.utility)).encode()
    yield "slate.json", json.dumps(canonical(contracts.slate)).encode()


def _map_to(predicted: float, kind: str) -> Mapping[str, object]:
    """Return a calibrator that maps what the booster predicts to this."""
    if kind == "value":
        return MeanMap((1.0,), (predicted,), floor=0.01).to_json()
    return LogisticMap(1e-9, log(predicted / (1 - predicted))).to_json()


def _run(*words: str, home: Path) -> str:
    printed = StringIO()
    with redirect_stdout(printed):
        assert main([*words, "--surfaces", str(FOLDER), "--home", str(home)]) == 0
    return printed.getvalue()


def page() -> str:
    """Return the page with the list."""
    rows = (f"- [{shown}]({file}){remark and f': {remark}'}" for shown, file, remark in EXAMPLES)
    return HEAD + "\n".join(rows) + "\n"


def rendered() -> dict[str, str]:
    """Return the text of each file that the program writes, by its name."""
    with TemporaryDirectory() as folder:
        row = labelled_row(Path(folder) / "labels")
        scored, explained = outputs(Path(folder) / "release")
    return {
        "index.md": page(),
        "row.json": json.dumps(row, indent=2) + "\n",
        "scored.json": json.dumps(scored, indent=2) + "\n",
        "explained.txt": explained,
    }


if __name__ == "__main__":
    for name, text in rendered().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
