"""Every error says by its class whose move is next, and by its exit code how the program ended."""

import pytest

from tasks.errors import (
    AuditMismatch,
    ContractError,
    DataError,
    EquipoiseError,
    GateRefused,
    ImmatureLabels,
    Overtaken,
    StoreError,
    unknown,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ContractError, 2),
        (DataError, 2),
        (ImmatureLabels, 2),
        (GateRefused, 1),
        (StoreError, 3),
        (AuditMismatch, 3),
        (Overtaken, 3),
    ],
)
def test_each_error_has_its_exit_code(error: type[EquipoiseError], code: int) -> None:
    assert error.exit_code == code


def test_immature_labels_are_caught_as_bad_data_and_an_overtaken_writer_as_a_failed_store() -> None:
    assert issubclass(ImmatureLabels, DataError)
    assert issubclass(Overtaken, StoreError)
    assert issubclass(AuditMismatch, StoreError)


def test_an_unknown_name_is_answered_with_the_nearest_one() -> None:
    assert unknown("task", "clik", ["like", "click"]) == (
        "Unknown task 'clik'. Known: click, like. Did you mean 'click'?"
    )


def test_a_name_that_resembles_none_gets_no_hint() -> None:
    assert unknown("task", "dwell", ["buy"], where="tasks.yaml") == (
        "Unknown task 'dwell' in tasks.yaml. Known: buy."
    )


def test_where_nothing_is_known_it_says_none() -> None:
    assert unknown("release", "7", []) == "Unknown release '7'. Known: none."
