import pandas as pd
import pytest

from tasks.contracts.surface import SegmentSpec
from tasks.errors import DataError
from tasks.evaluation.segments import segment_values


def _spec(name: str, column: str, bins: list[float] | None = None) -> SegmentSpec:
    return SegmentSpec.model_validate({"name": name, "from": column, "bins": bins})


def test_a_bin_holds_its_lower_edge_and_not_its_upper() -> None:
    frame = pd.DataFrame({"age": [0.5, 1.0, 6.9, 7.0, None]})
    values = segment_values(frame, [_spec("item_age", "age", [1, 7])])
    assert list(values["item_age"]) == ["<1", "1-7", "1-7", ">=7", "unknown"]


def test_a_null_value_is_a_segment_of_its_own() -> None:
    values = segment_values(pd.DataFrame({"source": ["ads", None, "feed"]}), [_spec("source", "source")])
    assert list(values["source"]) == ["ads", "unknown", "feed"]


def test_a_value_called_unknown_and_a_null_are_one_segment() -> None:
    values = segment_values(pd.DataFrame({"source": ["unknown", None]}), [_spec("source", "source")])
    assert list(values["source"]) == ["unknown", "unknown"]


def test_a_missing_column_is_named_with_the_nearest_known_one() -> None:
    with pytest.raises(DataError, match="Did you mean 'source'"):
        segment_values(pd.DataFrame({"source": ["a"]}), [_spec("source", "sorce")])


@pytest.mark.parametrize("column", [[3, 4], [3.0, None], ["3", "x"]])
def test_a_number_is_spelled_alike_whatever_stands_beside_it(column: list[object]) -> None:
    values = segment_values(pd.DataFrame({"tab": column}), [_spec("tab", "tab")])
    assert values["tab"][0] == "3"


def test_values_that_are_spelled_alike_are_one_segment() -> None:
    frame = pd.DataFrame({"tab": pd.Series([1, "1", None], dtype=object)})
    values = segment_values(frame, [_spec("tab", "tab")])["tab"]
    assert (list(values), list(values.categories)) == (["1", "1", "unknown"], ["1", "unknown"])


def test_text_where_numbers_are_cut_is_refused_with_the_segment() -> None:
    with pytest.raises(DataError, match="Segment 'item_age' needs numbers; column 'age'"):
        segment_values(pd.DataFrame({"age": ["old"]}), [_spec("item_age", "age", [7])])
