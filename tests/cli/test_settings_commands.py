"""The variables of the environment, as a command prints them."""

import json

import pytest

from tasks.cli import main
from tasks.settings import Settings


def test_every_variable_is_listed_with_its_value_and_default(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EQUIPOISE_THREADS", "3")
    assert main(["settings", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["settings"]}
    assert {variable.name for variable in Settings.variables()} <= set(rows)
    assert rows["EQUIPOISE_THREADS"]["value"] == "3"
    assert rows["EQUIPOISE_THREADS"]["is_set"]


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_no_secret_is_printed(
    form: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EQUIPOISE_POSTGRESQL_SHOP", "postgresql://ana:open-sesame@db/shop")
    monkeypatch.setenv("EQUIPOISE_MLFLOW_URL", "https://ana:open-sesame@mlflow")
    assert main(["settings", *form]) == 0
    printed = capsys.readouterr().out
    assert "EQUIPOISE_POSTGRESQL_SHOP" in printed
    assert "open-sesame" not in printed


def test_a_misspelt_name_and_a_wrong_value_are_pointed_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EQUIPOISE_THREDS", "2")
    monkeypatch.setenv("EQUIPOISE_MEMORY", "much")
    assert main(["settings"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "did you mean EQUIPOISE_THREADS?" in printed
    assert "EQUIPOISE_MEMORY = 'much' is not an amount of memory" in printed
