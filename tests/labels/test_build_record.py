"""The record of a build: as JSON and back, also where sums exceed a double."""

import json
from datetime import UTC, date, datetime

from tasks.labels.build_record import Build, Day
from tasks.logs.days import DaySum

FIFTH = date(2024, 3, 5)
BUILD = Build(
    datetime(2024, 3, 5, 12, tzinfo=UTC),
    "contract",
    ("request_id VARCHAR", "item_id BIGINT"),
    {FIFTH: Day(100, 7), date(2024, 3, 6): Day(1, 2**127 + 1, left_behind=True)},
    {FIFTH: DaySum(100, 2**90 + 1)},
    {(FIFTH, "buy"): DaySum(1, 2**100 + 1), (FIFTH, "click"): DaySum(2, 3)},
)


def test_a_build_is_read_as_it_was_written() -> None:
    assert Build.from_json(json.loads(json.dumps(BUILD.to_json()))) == BUILD


def test_the_record_has_the_form_that_stores_hold() -> None:
    """Builds of earlier versions are read as the last build of a store: this form is not to change."""
    assert BUILD.to_json() == {
        "as_of": "2024-03-05T12:00:00+00:00",
        "contract": "contract",
        "columns": ["request_id VARCHAR", "item_id BIGINT"],
        "days": {
            "2024-03-05": [100, "7", False],
            "2024-03-06": [1, str(2**127 + 1), True],
        },
        "impressions": {"2024-03-05": [100, str(2**90 + 1)]},
        "events": {"2024-03-05": {"buy": [1, str(2**100 + 1)], "click": [2, "3"]}},
    }
