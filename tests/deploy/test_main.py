"""How the make verbs end: a message and an exit code for what is known, a traceback for the rest."""

import signal
from collections.abc import Iterator

import pytest

from deploy.__main__ import report_errors
from tasks.errors import StoreError


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_an_error_of_ours_ends_the_program_with_its_message_and_code(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended, report_errors():
        raise StoreError("the parts do not run")
    assert ended.value.code == StoreError.exit_code
    assert capsys.readouterr().err == "StoreError: the parts do not run\n"


def test_an_error_that_nobody_foresaw_is_not_hidden_and_is_no_verdict(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended, report_errors():
        _ = 1 / 0
    assert ended.value.code == StoreError.exit_code
    assert "ZeroDivisionError: division by zero" in capsys.readouterr().err


def test_a_folder_that_may_not_be_written_is_one_message(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, report_errors():
        raise PermissionError(13, "Permission denied", "/srv/state/parts")
    assert ended.value.code == StoreError.exit_code
    assert capsys.readouterr().err == "StoreError: [Errno 13] Permission denied: '/srv/state/parts'\n"


def test_an_interrupted_program_ends_as_a_shell_expects(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, report_errors():
        raise KeyboardInterrupt
    assert ended.value.code == 130
    assert capsys.readouterr().err == "stopped\n"


def test_a_misspelt_variable_is_told_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EQUIPOISE_AIRFLOW_PROT", "18080")
    with report_errors():
        pass
    assert "did you mean EQUIPOISE_AIRFLOW_PORT?" in capsys.readouterr().err
