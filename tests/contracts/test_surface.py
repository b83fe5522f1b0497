"""What a surface declares, and what follows from it."""

from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from tasks.contracts.surface import Features, SurfaceSpec, check_cron
from tests.contracts.files import VALID


def surface(**changed: Any) -> SurfaceSpec:
    return SurfaceSpec.model_validate({**deepcopy(VALID["surface"]), **changed})


def test_logs_end_at_the_midnight_after_their_last_day() -> None:
    assert surface(until="2017-12-31").ends_at == datetime(2018, 1, 1, tzinfo=UTC)
    assert surface().ends_at is None


def test_a_task_s_trees_take_their_own_parameters_over_the_default_ones() -> None:
    trees = {"default": {"num_leaves": 31, "learning_rate": 0.1}, "buy": {"num_leaves": 7}}
    assert surface(lightgbm=trees).lightgbm_for("buy") == {"num_leaves": 7, "learning_rate": 0.1}
    assert surface(lightgbm=trees).lightgbm_for("click") == {"num_leaves": 31, "learning_rate": 0.1}


def test_a_curve_is_declared_flat_or_not_declared() -> None:
    assert surface(examination={"by_position": [1.0, 0.5]}).examination_curve == (1.0, 0.5)
    assert surface(examination="none").examination_curve == (1.0,)
    assert surface(examination="estimated").examination_curve is None
    assert surface().examination_curve is None


def test_a_segment_s_bins_increase_and_a_name_stands_for_its_column() -> None:
    assert [(s.name, s.column) for s in surface().segments] == [("category", "category"), ("age", "item_age")]
    with pytest.raises(ValidationError, match="bins must increase"):
        surface(segments=[{"name": "age", "from": "item_age", "bins": [7, 1]}])


def test_a_feature_is_numeric_or_categorical() -> None:
    with pytest.raises(ValidationError, match="both numeric and categorical: price"):
        Features.model_validate({"numeric": ["price"], "categorical": ["price"]})


def test_slices_are_whole_days() -> None:
    with pytest.raises(ValidationError, match="must be whole days"):
        surface(split={"train": "PT36H", "calibrate": "P7D", "test": "P7D"})


def test_a_surface_is_not_named_as_a_folder_of_another_ones_builds() -> None:
    with pytest.raises(ValidationError, match="rename it"):
        surface(surface="feed__as_of")


def test_candidates_are_logged_in_a_table_or_all_of_them_were_shown() -> None:
    alone = {"impressions": "i/*.parquet", "events": "e/*.parquet"}
    assert surface(sources={**alone, "candidates": "c/*.parquet"}).logs_all_candidates
    assert surface(sources=alone, shown_is_all=True).logs_all_candidates
    assert not surface(sources=alone).logs_all_candidates


@pytest.mark.parametrize(
    "text", ["0 4 * * 1", "*/15 * * * *", "0 0-6,22-23 1 jan-jun MON", "0 0 L * *", "0 0 * * sun#1"]
)
def test_cron_strings_of_five_fields_that_come_due_are_accepted(text: str) -> None:
    assert check_cron(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "daily",
        "0 4 * *",
        "0 4  * * 1",
        "60 4 * * *",
        "0 4 * 13 *",
        "*/0 * * * *",
        "a b c d e",
        "0 4 31 4,6,9,11 *",
    ],
)
def test_other_texts_are_no_cron_strings(text: str) -> None:
    with pytest.raises(ValueError, match="is not a cron string"):
        check_cron(text)
