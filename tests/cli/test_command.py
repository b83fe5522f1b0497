"""A command: every one has the same options, and a call runs the function with what was typed."""

import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tasks.cli.command import CommandGroup
from tasks.cli.program import parse
from tasks.errors import ContractError
from tasks.stores.location import ObjectPath
from tests.cli.test_failures import EXAMPLES
from tests.contracts.files import write_surface


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_of_every_help_can_be_typed_with_the_common_options(name: str) -> None:
    words = [*name.split(), *EXAMPLES[name], "--surfaces", "here", "--home", "there", "--json"]
    call = parse(words)
    assert call.command.name == name
    common = {name: call.arguments[name] for name in ("surfaces", "home", "json")}
    assert common == {"surfaces": Path("here"), "home": Path("there"), "json": True}


def test_the_workspace_is_that_of_the_surface_and_of_the_folders(tmp_path: Path) -> None:
    root = write_surface(tmp_path)
    call = parse(["labels", "show", "feed", "--surfaces", str(root), "--home", str(tmp_path / "home")])
    seen: dict[str, Any] = {}
    group = CommandGroup("A heading")

    @group.command("")
    def remember(workspace: Any, snapshot: str | None) -> None:
        """Remember."""
        seen.update(workspace=workspace, snapshot=snapshot)

    type(call)(_command_of(group), call.arguments).run()
    workspace = seen["workspace"]
    assert (workspace.surface, workspace.surfaces, workspace.home) == ("feed", root, tmp_path / "home")
    assert seen["snapshot"] is None


def _command_of(group: CommandGroup) -> Any:
    (info,) = group.typer.registered_commands
    assert info.callback is not None
    return info.callback(surface="feed").command


AS_OF = "2026-03-02T00:00:00Z"


def test_an_instant_is_read_in_utc() -> None:
    call = parse(["validate", "feed", "--as-of", "2026-03-02T01:00:00+01:00"])
    assert call.arguments["as_of"] == datetime(2026, 3, 2, tzinfo=UTC)


def test_days_are_dates() -> None:
    words = ["labels", "build", "feed", "--as-of", AS_OF, "--from", "2026-03-01", "--to", "2026-03-02"]
    arguments = parse(words).arguments
    assert (arguments["first_day"], arguments["last_day"]) == (date(2026, 3, 1), date(2026, 3, 2))


def test_an_age_is_a_duration() -> None:
    assert parse(["labels", "vacuum", "feed", "--keep", "P7D"]).arguments["keep"] == timedelta(days=7)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["validate", "feed", "--as-of", "2026-03-02"], "has no zone"),
        (["labels", "build", "feed", "--as-of", AS_OF, "--to", "20. March"], "Write it as 2026-03-01"),
        (["labels", "vacuum", "feed", "--keep", "P1M"], "'P1M' is no"),
        (
            ["world", "generate", "--days", "x", "--requests-per-day", "1", "--seed", "1", "--out", "o"],
            "--days",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_way_out(words: list[str], message: str) -> None:
    with pytest.raises(ContractError, match=message):
        parse(words)


def export_to(out: Path | str) -> list[str]:
    return ["labels", "export", "feed", "--out", str(out)]


def odd_places(folder: Path) -> dict[Path | str, str]:
    (folder / "folder").mkdir()
    (folder / "file").touch()
    (folder / "loop").symlink_to("loop")
    os.mkfifo(folder / "pipe")
    (folder / "to_pipe").symlink_to("pipe")
    return {
        "": "is not a file", ".": "is not a file", folder / "folder": "is not a file",
        folder / "pipe": "is not a file", folder / "to_pipe": "is not a file",
        folder / "file" / "below": "nothing can be written below it", folder / "loop": "(?i)loop|levels",
        folder / "loop" / "below": "nothing can be written below it", folder / ("x" * 250): "Choose a shorter name",
    }  # fmt: skip


def test_only_a_file_is_replaced_by_one_that_is_written(tmp_path: Path) -> None:
    for place, message in odd_places(tmp_path).items():
        with pytest.raises(ContractError, match=message):
            parse(export_to(place))
    assert (tmp_path / "pipe").is_fifo()
    for place in (tmp_path / "file", tmp_path / "new", tmp_path / "new/below"):
        assert parse(export_to(place)).arguments["out"] == place


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "newest").symlink_to("17.parquet")
    assert parse(export_to(tmp_path / "newest")).arguments["out"] == tmp_path / "17.parquet"


@pytest.mark.parametrize("words", [["import", "complete-journey"], ["backup"]])
def test_a_folder_is_written_where_one_can_be(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "nowhere").symlink_to("not there")
    no_folder = dict.fromkeys(("file", "loop", "nowhere"), "is not a folder")
    for place, message in {**no_folder, "file/below": "nothing can be written below it"}.items():
        with pytest.raises(ContractError, match=message):
            parse([*words, "--out", str(tmp_path / place)])
    assert parse([*words, "--out", str(tmp_path / "new")]).arguments["out"] == tmp_path / "new"


def test_a_world_is_written_to_a_folder_or_an_object_store() -> None:
    words = ["world", "generate", "--days", "1", "--requests-per-day", "1", "--seed", "1", "--out"]
    assert parse([*words, "s3://bucket/feed"]).arguments["out"] == ObjectPath("s3://bucket/feed")
    with pytest.raises(ContractError, match="is not a folder"):
        parse([*words, __file__])


@pytest.mark.parametrize("option", ["--home", "--surfaces"])
def test_no_text_is_not_the_current_folder(option: str) -> None:
    with pytest.raises(ContractError, match="the path is empty"):
        parse(["validate", "feed", "--as-of", AS_OF, option, ""])
    assert parse(["validate", "feed", "--as-of", AS_OF, "--home", "."]).arguments["home"] == Path()


def test_a_policy_may_be_given_many_times() -> None:
    words = ["simulate", "feed", "--release", "3", "--policy", "a.yaml", "--policy", "b.yaml"]
    assert [path.name for path in parse(words).arguments["policy"]] == ["a.yaml", "b.yaml"]
