"""Pages hold together: links lead somewhere, names and figures are those of the code, nothing comes from the web."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, get_args
from xml.etree import ElementTree as ET

import pytest
from pydantic import BaseModel

from tasks.contracts import SlateSpec, SurfaceSpec, TasksSpec, UtilitySpec, load_surface
from tasks.contracts.metrics import MetricKind
from tasks.settings import Settings
from tasks.training.slices import plan_slices
from tests.docs import command_reference
from tests.docs.pages import DOCS, PAGES, REPOSITORY, name

PICTURES = sorted((DOCS / "pictures").rglob("*.svg"))


def text_of(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def fields(annotation: Any, seen: set[type]) -> Iterator[str]:
    """Yield the keys of a model and of everything inside it."""
    for inner in get_args(annotation):
        yield from fields(inner, seen)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation not in seen:
        seen.add(annotation)
        for key, field in annotation.model_fields.items():
            yield field.alias or key
            yield from fields(field.annotation, seen)
            for extra in field.metadata:
                yield from fields(getattr(extra, "annotation", None), seen)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_page_names_a_place_of_somebodys_machine_or_a_registry(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"(?<![\w.])/(home|root|tmp|work|Users|opt|mnt)/", text)
    assert not re.search(r"https?://\S*(pypi|pythonhosted|conda|npmjs|simple/)", text)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_table_has_a_heading(page: Path) -> None:
    """A blank line within a table would turn the rows after it into text."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for table in re.findall(r"(?:^ *\|.*\n)+", text, re.MULTILINE):
        assert re.search(r"\A.*\n *\|[ :|-]+\|\n", table), table


@pytest.mark.parametrize("spec", [SurfaceSpec, TasksSpec, UtilitySpec, SlateSpec])
def test_every_key_of_a_contract_is_described(spec: type[BaseModel]) -> None:
    described = set(re.findall(r"\w+", text_of("contracts.md")))
    assert set(fields(spec, set())) <= described


def test_every_metric_is_described() -> None:
    page = text_of("contracts.md")
    assert [kind for kind in MetricKind if kind.value not in page] == []


def test_every_environment_variable_that_is_named_exists() -> None:
    pattern = re.compile(r"\bEQUIPOISE_[A-Z_]+\b")
    code = [
        file
        for room in ("tasks", "dags", "deploy", "benchmarks")
        for file in (REPOSITORY / room).rglob("*.py")
    ]
    named = {found for file in (*code, *PAGES) for found in pattern.findall(file.read_text(encoding="utf-8"))}
    known = {variable.name.removesuffix("<NAME>") for variable in Settings.variables()}
    examples = {"EQUIPOISE_POSTGRESQL_WAREHOUSE"}
    assert named - examples == {name for name in known if name.startswith("EQUIPOISE_")}


def test_the_slices_of_home_feed_are_those_of_the_page() -> None:
    contracts = load_surface(REPOSITORY / "surfaces", "home_feed")
    days = [date(2026, 1, 1) + timedelta(days=n) for n in range(132)]
    planned = plan_slices(contracts, datetime(2026, 5, 13, tzinfo=UTC), days).tasks
    row = re.compile(r"^\| `(\w+)` \| (\S+) to (\S+) \| (\S+) to (\S+) \| (\S+) to (\S+) \|$", re.MULTILINE)
    rows = row.findall(text_of("concepts.md"))
    assert [task for task, *_ in rows] == ["click_30m", "purchase_7d", "return_30d"]
    for task, *ends in rows:
        slices = planned[task].to_json()
        assert ends == [*slices["train"], *slices["calibrate"], *slices["test"]]


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_a_picture_needs_nothing_else_and_has_a_dark_side(picture: Path) -> None:
    drawn = picture.read_text(encoding="utf-8")
    assert ET.fromstring(drawn).find("{http://www.w3.org/2000/svg}title") is not None  # noqa: S314 - our own file
    assert "prefers-color-scheme: dark" in drawn
    assert not re.search(r"(href|src|@import|url\((?!#))", drawn)


def test_the_navigation_names_every_page_once() -> None:
    named = re.findall(r"(\S+\.md)$", (REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(named) == sorted(
        page.relative_to(DOCS).as_posix() for page in PAGES if DOCS in page.parents
    )


def test_the_page_on_the_architecture_names_rooms_and_modules_that_exist() -> None:
    page = text_of("architecture.md")
    modules = re.findall(r"`((?:tasks|dags)/[\w/]+\.py)`", page)
    assert [module for module in modules if not (REPOSITORY / module).is_file()] == []
    named = set(re.findall(r"`(\w+)(?:\.py)?`", page))
    rooms = {
        file.stem for file in (REPOSITORY / "tasks").iterdir() if not file.name.startswith(("_", "py.typed"))
    }
    assert rooms <= named


def test_every_room_has_its_page_of_the_reference() -> None:
    rooms = {file.parent.name for file in (REPOSITORY / "tasks").glob("*/__init__.py")}
    pages = {page.stem for page in (DOCS / "reference" / "api").glob("*.md")}
    assert pages == rooms - {"cli", "reports"}, "the program, its parts and its pages have no reference"


def test_the_page_of_commands_is_made_of_the_program() -> None:
    written = command_reference.PAGE.read_text(encoding="utf-8")
    assert written == command_reference.page(), "python -m tests.docs.command_reference writes it anew"
