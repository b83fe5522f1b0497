"""Pages are rendered from the package's own templates, also where it was installed from a wheel."""

import re
import subprocess
import sys
from pathlib import Path

import jinja2
import pytest
from hatchling.builders.wheel import WheelBuilder

from tasks.reports import render as module
from tasks.reports.render import render

TEMPLATES = Path(module.__file__).parent / "templates"
ROOT = Path(module.__file__).parents[2]


def test_a_page_carries_its_style_and_asks_for_nothing_else() -> None:
    page = render("page.html.j2", title="Feed", facts=["as of now"])
    assert "<title>Feed</title>" in page
    assert '<p class="facts">as of now</p>' in page
    assert ":root { color-scheme: light dark;" in page
    assert "http" not in page


def test_texts_are_escaped_also_in_attributes() -> None:
    page = render("page.html.j2", title="<script>'\"&", facts=["<b>"])
    assert "<h1>&lt;script&gt;&#39;&#34;&amp;</h1>" in page
    assert "<script>" not in page
    assert "<b>" not in page


def test_a_value_that_was_not_given_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError, match="facts"):
        render("page.html.j2", title="Feed")


@pytest.mark.parametrize("template", sorted(TEMPLATES.glob("*.j2")), ids=lambda path: path.name)
def test_templates_quote_every_attribute_and_never_switch_escaping_off(template: Path) -> None:
    text = re.sub(r"{#.*?#}|{%.*?%}|{{.*?}}", "", template.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert not re.findall(r"<[^>]*\s[\w-]+=[^\"\s>][^>]*>", text)
    assert "safe" not in re.findall(r"\|\s*(\w+)", template.read_text(encoding="utf-8"))


def test_a_wheel_brings_templates_and_style(tmp_path: Path) -> None:
    [wheel] = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    code = "from tasks.reports.render import render; print(render('page.html.j2', title='Feed', facts=[]))"
    run = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env={"PYTHONPATH": wheel},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "<h1>Feed</h1>" in run.stdout
    assert "color-scheme" in run.stdout
