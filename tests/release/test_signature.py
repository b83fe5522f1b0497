"""A signature says what a table of candidates looks like."""

import pandas as pd

from tasks.release.signature import release_signature

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
    }
)


def test_columns_keep_their_order_and_get_the_table_s_types() -> None:
    schema = release_signature(FRAME, FRAME[["request_id"]]).inputs
    assert dict(zip(schema.input_names(), [t.name for t in schema.input_types()], strict=True)) == {
        "request_id": "string",
        "item_id": "long",
        "price": "double",
        "source": "string",
        "permitted": "boolean",
        "seen": "boolean",
        "rank": "long",
        "shown_at": "datetime",
    }


def test_an_empty_table_has_a_signature_too() -> None:
    assert len(release_signature(FRAME.head(0), FRAME.head(0)).outputs.inputs) == len(FRAME.columns)
