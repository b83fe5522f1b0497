"""The variables of the environment, as a command prints them."""

import json
from typing import Any

import pytest

from tasks.cli import main
from tasks.cli.operate_commands import write_monitor
from tasks.cli.program import parse
from tasks.cli.text import as_text
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
    assert "EQUIPOISE_MEMORY = 'much' is not a memory size" in printed


def level(
    metric: str, task: str, value: float, low: float | None, high: float | None, **more: str
) -> dict[str, Any]:
    named = {"feature": "", "constraint": "", "column": "", "value_of": "", "day": "2026-05-10", **more}
    return {
        "metric": metric,
        "task": task,
        "value": value,
        "low": low,
        "high": high,
        "n": 50,
        "events": 1200,
        **named,
    }


PLAIN: dict[str, Any] = {
    "surface": "shop",
    "as_of": "2026-05-13T00:00:00Z",
    "days": 1,
    "figures": 40,
    "history": 130,
    "needed": 98,
    "series": [
        level("calibration_ratio", "click", 1.1, 0.9, 1.3),
        level("arrived_share", "hide", 0.5, float("nan"), None, column="day", value_of="1"),
        level("rows", "click", 90, 90, 90),
    ],
    "alarms": [
        {"name": "share of kind=a", "before": 0.5, "now": 0.7, "since": "2026-05-01", "critical": True, "meaning": "More.", "action": "Look."}
    ],
    "early": [{"task": "hide", "day": "2026-05-12", "age": 0, "value": 1.2, "low": 0.8, "high": 1.7}],
    "queue": [{"column": "creator", "unit": f"c{n}", "task": "hide", "observed": 9, "expected": 2.0} for n in range(11)],
    "notes": ["Release 3 is unknown."],
    "table": "monitoring/shop",
    "page": "monitor.html",
}  # fmt: skip


def test_everything_is_printed_once() -> None:
    text = " ".join(as_text(write_monitor(PLAIN)).split())
    for words in (
        "shop as of 2026-05-13T00:00:00Z: 1 new day, 40 figures",
        "critical alarm: share of kind=a: 0.5 to 0.7 since 2026-05-01 More. Look.",
        "click calibration ratio 2026-05-10 1.1 (0.9 to 1.3) 1,200",
        "hide day=1 arrived share 2026-05-10 0.5 1,200",
        "before maturity, hide of 2026-05-12, after 1 day: 1.2 (0.8 to 1.7)",
        "to review: creator c0, hide: 9 events, 2 predicted",
        "and 1 more in review_queue.csv next to the page",
        "Release 3 is unknown.",
    ):
        assert words in text
    assert "click rows" not in text
    assert "levels only: 40 of the 98 days" in as_text(write_monitor({**PLAIN, "history": 40}))


def test_no_textfile_is_written_unasked() -> None:
    call = parse(["monitor", "shop", "--as-of", "2026-05-13T00:00:00Z"])
    assert call.arguments["textfile"] is None
