import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.processes import started_at
from deploy.programs import read_words, report_errors
from tasks.errors import ContractError, StoreError
from tasks.settings import REPOSITORY


@pytest.mark.parametrize(
    ("given", "profile", "words"),
    [
        (["release", "list", "feed"], "embedded", ["release", "list", "feed"]),
        (["--profile", "production", "dags", "list"], "production", ["dags", "list"]),
        (["dags", "--profile", "mine"], "embedded", ["dags", "--profile", "mine"]),
    ],
)
def test_what_follows_the_first_word_belongs_to_the_other_program(
    monkeypatch: pytest.MonkeyPatch, given: list[str], profile: str, words: list[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["program", *given])
    assert read_words("deploy.command", "Runs it.", words="as after it") == (profile, words)


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


@pytest.mark.parametrize("program", ["command", "airflow"])
def test_a_program_that_works_on_parts_refuses_an_unknown_profile(program: str) -> None:
    command = [sys.executable, "-m", f"deploy.{program}", "--profile", "prod", "release", "list"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == ContractError.exit_code
    assert "Unknown profile 'prod'" in done.stderr


def list_releases(home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "deploy.command", "release", "list", "feed"],
        cwd=REPOSITORY,
        env={**os.environ, "EQUIPOISE_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_command_on_parts_that_do_not_run_says_how_to_start_them(tmp_path: Path) -> None:
    done = list_releases(tmp_path)
    assert (done.returncode, "make up PROFILE=embedded" in done.stderr) == (StoreError.exit_code, True)


def test_a_command_on_parts_of_which_some_have_ended_names_those(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    alive = {"pid": os.getpid(), "started": started_at(os.getpid())}
    for name, process in {"scheduler": alive, "mlflow": {**alive, "started": "long ago"}}.items():
        record = {"name": name, **process, "airflow_port": 1, "mlflow_port": 2}
        (tmp_path / "parts" / f"{name}.json").write_text(json.dumps(record))
    done = list_releases(tmp_path)
    assert done.returncode == StoreError.exit_code
    assert done.stderr == (
        "StoreError: These parts have ended: mlflow. Start all of them anew: `make up PROFILE=embedded`\n"
    )
