"""A calibration map is read back exactly, and what is not a map is refused with what is wrong."""

import math

import pytest

from tasks.errors import DataError
from tasks.ranking.map_json import map_from_json
from tasks.ranking.maps import IsotonicMap

GOOD = {"kind": "isotonic", "knots_x": [0.1, 0.2], "knots_y": [0.3, 0.4]}


@pytest.mark.parametrize(
    ("plain", "said"),
    [
        ([], "a JSON object, not list"),
        ({}, "Unknown kind"),
        ({"kind": "isotonc"}, "Did you mean 'isotonic'"),
        ({"kind": ["isotonic"]}, "Unknown kind"),
        ({**GOOD, "note": "x"}, "has the fields"),
        ({"kind": "isotonic", "knots_x": [0.1]}, "has the fields"),
        ({**GOOD, "knots_x": [0.1]}, "as many knots_x as knots_y"),
        ({**GOOD, "knots_x": [], "knots_y": []}, "at least one"),
        ({**GOOD, "knots_x": [0.2, 0.1]}, "strictly increasing"),
        ({**GOOD, "knots_y": [0.3, 0.3]}, "strictly increasing"),
        ({**GOOD, "knots_y": [0.3, 1.0]}, "strictly between 0 and 1"),
        ({**GOOD, "knots_x": [0.0, 0.5]}, "strictly between 0 and 1"),
        ({**GOOD, "knots_x": [0.1, math.nan]}, "finite"),
        ({**GOOD, "knots_x": [0.1, True]}, "not a number"),
        ({**GOOD, "knots_x": [0.1, 10**400]}, "too large"),
        ({**GOOD, "knots_x": "12"}, "list of numbers"),
        ({"kind": "logistic", "slope": 0, "intercept": 0}, "slope above 0"),
        ({"kind": "logistic", "slope": 1, "intercept": math.inf}, "finite"),
        ({"kind": "logistic", "slope": "1", "intercept": 0}, "not a number"),
        ({"kind": "mean", "knots_x": [0.0], "knots_y": [1.0], "floor": 1.0}, "above 0"),
        ({"kind": "mean", "knots_x": [1.0], "knots_y": [1.0], "floor": 0.0}, "above 0"),
    ],
)
def test_json_that_is_no_map_is_refused_with_what_is_wrong(plain: object, said: str) -> None:
    with pytest.raises(DataError, match=said):
        map_from_json(plain)


def test_knots_come_back_to_the_last_bit() -> None:
    written = IsotonicMap((0.1, 1 / 3), (0.2, 2 / 3))
    assert map_from_json(written.to_json()) == written
