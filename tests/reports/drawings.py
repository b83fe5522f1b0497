"""What a drawing contains."""

import re

from tasks.reports.charts import Drawing, Mark


def find(drawing: Drawing, element: str, tone: str = "") -> list[Mark]:
    """Return the marks of an element, in their order; of all those with a class, if one is named."""
    return [
        mark
        for mark in drawing.marks
        if mark.element == element and (not tone or tone in str(mark.attributes["class"]).split())
    ]


def words_of(drawing: Drawing, tone: str = "") -> list[str]:
    """Return the texts of a drawing."""
    return [mark.words for mark in find(drawing, "text", tone)]


def points_of(mark: Mark) -> list[tuple[float, float]]:
    """Return the corners of a path of straight lines, or the middle of a circle."""
    if mark.element == "circle":
        return [(float(str(mark.attributes["cx"])), float(str(mark.attributes["cy"])))]
    pairs = re.findall(r"([\d.]+),([\d.]+)", str(mark.attributes["d"]))
    return [(float(x), float(y)) for x, y in pairs]


def sides_of(mark: Mark, *names: str) -> tuple[float, ...]:
    """Return attributes of a mark as numbers."""
    return tuple(float(str(mark.attributes[name])) for name in names)
