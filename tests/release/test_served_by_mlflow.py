"""`mlflow models serve` over a registered release: the output contract, and requests that are wrong."""

import json
import math
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

from tasks import columns as c
from tasks.ranking.scoring import Scorer
from tasks.release.packaging import package_release, release_signature, typical_request
from tasks.replay import shadow
from tasks.stores.audit import Entry, Kind
from tasks.stores.store import Store
from tests.feeds.toy_release import NAME, UTILITY, a_frame, register_toy, toy_files, toy_manifest
from tests.release.model_server import CURL, PAGE, served
from tests.stores.mlflow_home import new_home

FRAME = a_frame(requests=2).assign(violates=False, skills=pd.Series([["sell", "pack"]] * 8))
UNSAFE = {"name": "unsafe", "drop_when": {"column": "violates", "equals": True}}
UNSKILLED = {"name": "unskilled", "keep_when": {"column": "skills", "contains": "sell"}}
CONSTRAINTS = [*UTILITY.model_dump(mode="json", exclude_defaults=True)["hard_constraints"], UNSAFE, UNSKILLED]
VERSIONS = {"click_30m": 1, "buy_7d": 2, "spend_7d": 3}

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Answer:
    """Status and body, whose JSON is read strictly: a NaN is none."""

    status: int
    text: str

    @property
    def message(self) -> str:
        return str(self.json()["message"])

    @property
    def rows(self) -> Rows:
        assert self.status == 200, self.text
        rows: Rows = self.json()["predictions"]
        return rows

    def json(self) -> Any:
        return json.loads(self.text, parse_constant=_refuse)


Ask = Callable[..., Answer]


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The champion, served as the documentation says, where the audit has to vouch for it; the URL."""
    home = new_home(tmp_path_factory.mktemp("served") / "home")
    release = register_toy(home, hard_constraints=CONSTRAINTS)
    moves = Store.open(home).aliases(NAME)
    moves.add(lambda *_: Entry(Kind.PROMOTE, "ana", release.version, None, "the first"))
    with served(home, NAME, EQUIPOISE_REQUIRE_VERIFIED="1", EQUIPOISE_MAX_ROWS="50") as url:
        yield url


@pytest.fixture
def ask(server: str) -> Ask:
    """Ask with rows and params, or with a body as it is."""

    def post(
        rows: Rows | None = None, *, body: bytes | None = None, kind: str = "json", **params: object
    ) -> Answer:
        asked: dict[str, object] = {"dataframe_records": rows} | ({"params": params} if params else {})
        content = json.dumps(asked).encode() if body is None else body
        answer = httpx.post(
            f"{server}/invocations",
            content=content,
            headers={"content-type": kind if "/" in kind else f"application/{kind}"},
            timeout=60,
        )
        return Answer(answer.status_code, answer.text)

    return post


def rows(change: Mapping[str, object] | None = None, *, without: str = "") -> Rows:
    """Two requests of four candidates as JSON; the first candidate changed."""
    made: Rows = json.loads(json.dumps(FRAME.to_dict("records")))
    made[0] |= change or {}
    return [{name: value for name, value in row.items() if name != without} for row in made]


def serving_scorer() -> Scorer:
    """Return the kernel with what the served release decides by."""
    changed = json.loads(toy_files()["utility.json"]) | {"hard_constraints": CONSTRAINTS}
    return Scorer.from_files({**toy_files(), "utility.json": json.dumps(changed).encode()})


def test_the_example_that_mlflow_shows_is_answered(ask: Ask) -> None:
    scorer = serving_scorer()
    sent = FRAME[[*scorer.columns]]
    signature = release_signature(sent, scorer.score(sent.head(0)))
    packaged, _ = package_release(
        toy_files(), toy_manifest(), signature=signature, example=typical_request(sent)
    )
    answered = ask(body=packaged["serving_input_example.json"]).rows
    assert [row["item_id"] for row in answered] == ["item-1", "item-2"]
    assert 0 < answered[0]["p_click_30m"] < 1


def test_a_row_in_is_a_row_out_with_predictions_decision_and_versions(ask: Ask) -> None:
    answered = ask(rows()).rows
    scored = serving_scorer().score(FRAME)
    assert [row["item_id"] for row in answered] == FRAME["item_id"].tolist()
    assert [*answered[0]] == [*scored.columns, "release", "model_version", "calibration_version"]
    for name in ("p_click_30m", "p_buy_7d", "p_buy_7d__given", "v_spend_7d", "utility"):
        np.testing.assert_array_equal([row[name] for row in answered], scored[name])
    slots = [row["slate_position"] or 0 for row in answered]
    assert slots == scored["slate_position"].fillna(0).tolist()
    assert {row["release"] for row in answered} == {1}
    assert json.loads(answered[0]["model_version"]) == VERSIONS
    assert json.loads(answered[-1]["calibration_version"]) == {t: v + 10 for t, v in VERSIONS.items()}


def test_certificate_and_components_come_on_request(ask: Ask) -> None:
    plain, asked = ask(rows()).rows, ask(rows(), certificate=True, components=True).rows
    assert not {"certificate", "weight_click_30m", "contribution_buy_7d"} & plain[0].keys()
    assert [row["certificate"] is not None for row in asked] == [True, False, False, False] * 2
    assert "length" in json.loads(asked[0]["certificate"])["met"]
    for row in asked:
        parts = row["contribution_click_30m"] + row["contribution_buy_7d"]
        assert parts == pytest.approx(row["utility"])
        assert row["weight_buy_7d"] == 20.0


@pytest.mark.parametrize("value", [None, float("nan")])
def test_what_is_not_known_to_be_safe_is_dropped(ask: Ask, value: float | None) -> None:
    first, *others = ask(rows({"violates": value, "permitted": True})).rows
    assert (first["dropped_by"], first["slate_position"]) == ("unsafe", None)
    assert not [row for row in others if row["dropped_by"] == "unsafe"]


@pytest.mark.parametrize("skills", [None, [], [None], ["sell it"]])
def test_a_list_without_the_value_is_dropped(ask: Ask, skills: list[str | None] | None) -> None:
    first, *others = ask(rows({"skills": skills, "permitted": True})).rows
    assert (first["dropped_by"], first["slate_position"]) == ("unskilled", None)
    assert not [row for row in others if row["dropped_by"] == "unskilled"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (rows(without="price"), "Model is missing inputs ['price']"),
        (rows(without="request_id"), "Model is missing inputs ['request_id']"),
        ([], "Model is missing inputs ['request_id', 'item_id'"),
        (rows({"price": "dear"}), "Column 'price' holds object and the feature encoder needs numbers"),
        (rows({"price": "3.5"}), "Column 'price' holds object and the feature encoder needs numbers"),
        ([{**row, "price": "\uff13.\uff15"} for row in rows()], "Column 'price' holds str"),
        ([{**row, "price": True} for row in rows()], "Column 'price' holds truth values"),
        (rows({"price": True}), "Column 'price' holds object and the feature encoder needs numbers"),
        (rows({"price": [1.0]}), "Column 'price' holds object and the feature encoder needs numbers"),
        (rows({"price": 1e400}), "Column 'price' is infinite in 1 of 8 rows, for example r000/i0"),
        (rows({"violates": "maybe"}), "Column 'violates' holds mixed or other values"),
        (rows({"violates": "true"}), "Column 'violates' holds mixed or other values"),
        (rows({"violates": 0.5}), "Column 'violates' holds"),
        (
            rows({"skills": "sell"}),
            "Column 'skills' holds text, and hard constraint 'unskilled' needs a list",
        ),
        (rows({"item_id": None}), "Column 'item_id' is null in 1 of 8 rows"),
        (rows({"request_id": float("nan")}), "Column 'request_id' is null in 1 of 8 rows"),
        (rows({"item_id": {"a": 1}}), "Column 'item_id' holds values that cannot be compared"),
        (rows({"item_id": 10**40}), "Column 'item_id' mixes strings and numbers"),
        (rows({"source": ["search"]}), "Column 'source' holds values that cannot be compared"),
        (rows() + rows()[:1], "The key (request_id, item_id) is repeated in 1 of 9 rows"),
        (rows({"source": "\ud800"}), "surrogates not allowed"),
    ],
)
def test_a_wrong_request_is_a_400_that_names_the_field(ask: Ask, wrong: Rows, said: str) -> None:
    answer = ask(wrong)
    assert answer.status == 400
    assert said in answer.message
    assert "Traceback" not in answer.text
    assert len(ask(rows()).rows) == 8


@pytest.mark.parametrize(
    "hostile", ["<script>alert(1)</script>", "'; drop table x; --", "\u0000\u202e{{7*7}}", "x" * 100_000]
)
def test_hostile_text_is_but_a_category_that_nobody_saw(ask: Ask, hostile: str) -> None:
    answered = ask(rows({"source": hostile, "item_id": hostile})).rows
    assert answered[0]["item_id"] == hostile
    assert 0 < answered[0]["p_click_30m"] < 1


@pytest.mark.parametrize(
    ("params", "said"), [({"certificate": "yes"}, "certificate"), ({"components": 3}, "components")]
)
def test_a_param_of_another_type_is_named(ask: Ask, params: dict[str, object], said: str) -> None:
    answer = ask(rows(), **params)
    assert answer.status == 400
    assert said in answer.message


@pytest.mark.parametrize(
    "body", [b"", b"{", b"null", b"[]", b'"x"', b"\xff\xfe", b'{"dataframe_records": {}}', b'{"rows": []}']
)
def test_what_is_no_request_at_all_is_a_400(ask: Ask, body: bytes) -> None:
    assert ask(body=body).status == 400


def test_a_table_without_types_is_a_400(ask: Ask) -> None:
    answer = ask(body=FRAME.to_csv(index=False).encode(), kind="text/csv")
    assert answer.status == 400
    assert "Failed to parse input" in answer.message


@pytest.mark.parametrize(("times", "status"), [(6, 200), (7, 413)])
def test_a_call_has_at_most_so_many_candidates(ask: Ask, times: int, status: int) -> None:
    many = [{**row, "request_id": f"{row['request_id']}-{n}"} for n in range(times) for row in rows()]
    answer = ask(many)
    assert answer.status == status
    if status == 413:
        assert "One call has 56 candidates, and the most is 50. Send fewer" in answer.message


def test_no_candidate_is_an_empty_answer(ask: Ask) -> None:
    columns = json.dumps({"dataframe_split": {"columns": [*FRAME.columns], "data": []}})
    assert ask(body=columns.encode()).rows == []


def test_the_page_s_request_is_answered_as_it_is_typed(server: str, tmp_path: Path) -> None:
    (written,) = [json.loads(block.text) for block in PAGE if block.language == "json"]
    assert {*written["dataframe_records"][0]} <= {*FRAME.columns}
    (tmp_path / "request.json").write_text(json.dumps(written | {"dataframe_records": rows()}))
    typed = CURL.replace("http://127.0.0.1:5001", server)
    environment = {**os.environ, "NO_PROXY": "127.0.0.1"}
    done = subprocess.run(
        ["bash", "-euc", typed], cwd=tmp_path, env=environment, capture_output=True, check=True
    )
    answered = Answer(200, done.stdout.decode()).rows
    assert len(answered) == len(FRAME)
    assert {"certificate", "weight_click_30m", "contribution_click_30m"} <= answered[0].keys()


def test_what_was_served_is_kept_as_the_page_says_and_the_next_shadow_run_reproduces_it(server: str) -> None:
    (code,) = [block.text for block in PAGE if block.language == "python" and "def to_log" in block.text]
    page: dict[str, Any] = {}
    exec(code, page)  # noqa: S102 - the page's own code
    candidates = FRAME.assign(user_id="u1", source=FRAME["source"].astype(object).mask(FRAME.index == 1))
    shown_at = pd.Timestamp("2026-05-12T08:00:00Z")
    kept = page["to_log"](candidates, page["ask"](candidates, server), shown_at=shown_at)
    assert kept[candidates.columns].equals(candidates), "the features are logged as they were sent"
    scored = serving_scorer().score(candidates)
    assert kept[c.POSITION].fillna(0).tolist() == scored[c.SLATE_POSITION].fillna(0).tolist()
    assert kept[c.SHOWN].tolist() == scored[c.SLATE_POSITION].notna().tolist()
    assert set(kept[c.SHOWN_AT]) == {shown_at}
    assert kept[c.SERVED_UTILITY].notna().all()
    reproduced = shadow.reproduce(kept, {1: scored}, tasks=VERSIONS)
    assert reproduced is not None
    columns = [c.SERVED_UTILITY, *(n for n in kept if str(n).startswith("served_p_"))]
    assert (reproduced.rows, reproduced.greatest_difference) == (kept[columns].notna().to_numpy().sum(), 0.0)


def test_an_answer_with_propensities_is_kept_with_them() -> None:
    (code,) = [block.text for block in PAGE if block.language == "python" and "def to_log" in block.text]
    page: dict[str, Any] = {}
    exec(code, page)  # noqa: S102 - the page's own code
    candidates = pd.DataFrame({"request_id": ["r", "r"], "item_id": ["a", "b"]})
    answer = candidates.assign(
        release=7, utility=[2.0, 1.0], slate_position=[1.0, math.nan], propensity=[0.5, math.nan]
    )
    kept = page["to_log"](candidates, answer, shown_at=pd.Timestamp("2026-05-12T08:00:00Z"))
    assert kept[[c.PROPENSITY, c.POSITION]].fillna(-1).to_numpy().tolist() == [[0.5, 1.0], [-1.0, -1.0]]
    assert kept[c.RELEASE].tolist() == [7, 7]
