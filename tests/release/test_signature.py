"""A signature says what a table of candidates looks like."""

import pandas as pd
from mlflow.utils.proto_json_utils import dataframe_from_parsed_json

from tasks.release.signature import release_signature, typical_request

FRAME = pd.DataFrame(
    {
        "request_id": ["r", "r"],
        "item_id": [1, 2],
        "price": [1.5, None],
        "source": pd.Categorical(["a", "b"]),
        "permitted": [True, None],
        "seen": [True, False],
        "rank": pd.array([1, None], dtype="Int32"),
        "shown_at": pd.to_datetime(["2026-01-01", "2026-01-02"], utc=True),
        "permissions": [None, ["read"]],
    }
)


def test_columns_keep_their_order_and_get_the_table_s_types() -> None:
    schema = release_signature(FRAME, FRAME[["request_id"]]).inputs
    assert dict(zip(schema.input_names(), map(str, schema.input_types()), strict=True)) == {
        "request_id": "DataType.string",
        "item_id": "Any",
        "price": "Any",
        "source": "DataType.string",
        "permitted": "Any",
        "seen": "Any",
        "rank": "Any",
        "shown_at": "Any",
        "permissions": "Any",
    }


def test_what_mlflow_would_cast_with_loss_reaches_the_release_as_it_was_sent() -> None:
    schema = release_signature(FRAME, FRAME[["request_id"]]).inputs
    sent = {
        "request_id": "r",
        "item_id": 1.5,
        "price": "2",
        "source": "a",
        "permitted": None,
        "seen": "false",
    }
    others = {"rank": None, "shown_at": "2026-01-01T02:00:00+02:00", "permissions": ["read", "sign"]}
    read = dataframe_from_parsed_json([sent | others], "records", schema=schema)
    assert (read["item_id"][0], read["seen"][0], read["price"][0]) == (1.5, "false", "2")
    assert read["shown_at"][0] == "2026-01-01T02:00:00+02:00"
    assert read["permissions"][0] == ["read", "sign"]
    assert read[["permitted", "rank"]].isna().all(axis=None)


def test_an_answer_says_by_what_it_was_scored() -> None:
    outputs = release_signature(FRAME, FRAME[["request_id", "rank"]]).outputs
    assert outputs.input_names() == ["request_id", "rank", "release", "model_version", "calibration_version"]


def test_an_empty_table_has_a_signature_too() -> None:
    signature = release_signature(FRAME.head(0), FRAME.head(0))
    assert len(signature.inputs.inputs) == len(FRAME.columns)
    assert len(signature.outputs.inputs) == len(FRAME.columns) + 3


def test_an_example_has_usual_values_and_shows_nobody_s_row() -> None:
    rows = 50
    frame = pd.DataFrame(
        {
            "request_id": [f"r{row}" for row in range(rows)],
            "user_id": range(700, 700 + rows),
            "item_id": [f"i{row}" for row in range(rows)],
            "price": [float(row) for row in range(rows - 1)] + [None],
            "clicks": [0] * 30 + [9] * 20,
            "source": ["feed"] * 20 + ["search"] * 30,
            "note": [f"of user {row}" for row in range(rows)],
            "permitted": [True] * 40 + [None] * 10,
            "permissions": [["read", "sign"]] * 30 + [[]] * 20,
            "shown_at": pd.Timestamp("2026-01-01T08:15:31", tz="UTC"),
        }
    )
    example = typical_request(frame)
    assert [*example.columns] == [*frame.columns]
    assert example.iloc[1].to_dict() == {
        "request_id": "request-1",
        "user_id": 1,
        "item_id": "item-2",
        "price": 24.0,
        "clicks": 0,
        "source": "search",
        "note": None,
        "permitted": True,
        "permissions": ["read", "sign"],
        "shown_at": pd.Timestamp("2026-01-01", tz="UTC"),
    }
    assert typical_request(frame.head(0)).shape == (2, 10)
