"""Every colour of text can be read on its ground, in the light and in the dark (WCAG 2, contrast 4.5 to 1)."""

import re
from pathlib import Path

import pytest

from tasks.promotion.pages.task_rows import DEEPEST
from tasks.reports import render

TEMPLATES = Path(render.__file__).parent / "templates"
STYLE = (TEMPLATES / "style.css").read_text(encoding="utf-8")
DRAWING = (TEMPLATES / "drawing.css").read_text(encoding="utf-8")
TEXT = ("ink", "faint", "bad", "doubt", "good", "quiet", "accent")


def palette(theme: str) -> dict[str, str]:
    light, dark = re.findall(r":root \{(.*?)\}", STYLE, flags=re.DOTALL)
    named = dict(re.findall(r"--(\w+): (#[0-9a-f]+);", light))
    return named if theme == "light" else {**named, **dict(re.findall(r"--(\w+): (#[0-9a-f]+);", dark))}


def luminance(colour: str) -> float:
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_black_on_white_is_21_to_1() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", TEXT)
def test_text_stands_out_from_the_page(theme: str, name: str) -> None:
    colours = palette(theme)
    assert contrast(colours[name], colours["paper"]) >= 4.5


@pytest.mark.parametrize(("theme", "ground"), [("light", "#ffffff"), ("dark", "#16181d")])
def test_what_a_picture_draws_stands_out_from_its_ground(theme: str, ground: str) -> None:
    light, dark = re.findall(r"svg \{([^}]*--after[^}]*)\}", DRAWING)
    colours = dict(re.findall(r"(fill|--\w+): (#[0-9a-f]+);?", light if theme == "light" else dark))
    assert f".ground {{ fill: {ground.replace('#ffffff', '#fff')}; }}" in DRAWING
    assert min(contrast(colours[name], ground) for name in ("fill", "--quiet")) >= 4.5
    assert min(contrast(colours[name], ground) for name in ("--before", "--after")) >= 3


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("tone", ["together", "apart"])
def test_a_correlation_can_be_read_on_the_deepest_cell(theme: str, tone: str) -> None:
    (fill,) = re.findall(rf"\.{tone} \{{ fill: (#[0-9a-f]{{6}}); \}}", STYLE)
    colours = palette(theme)
    mixed = [
        round(DEEPEST * int(fill[n : n + 2], 16) + (1 - DEEPEST) * int(colours["paper"][n : n + 2], 16))
        for n in (1, 3, 5)
    ]
    assert contrast(colours["ink"], "#" + "".join(f"{part:02x}" for part in mixed)) >= 4.5


def test_what_no_rule_judges_has_a_colour_of_its_own_that_is_not_that_of_a_pass() -> None:
    assert re.search(r"\.no_rule \{ color: var\(--quiet\); \}", STYLE)
    for theme in ("light", "dark"):
        red, green, blue = (int(palette(theme)["quiet"][n : n + 2], 16) for n in (1, 3, 5))
        assert max(red, green, blue) - min(red, green, blue) < 32, "grey"
