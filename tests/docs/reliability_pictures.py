"""Makes the pictures of docs/reliability.md by running the page's own examples.

``python -m tests.docs.reliability_pictures`` writes them anew into docs/pictures.
"""

import doctest
from typing import Any, Final

from tests.docs.pages import DOCS, blocks

PAGE: Final = DOCS / "reliability.md"
PICTURES: Final = {"reliability_whole.svg": "whole", "reliability_segments.svg": "parts"}
"""File by the name that the page gives the figure."""


def run_page() -> tuple[doctest.TestResults, dict[str, Any]]:
    """Run the page's examples; return how many failed, and the names that they leave."""
    text = "\n".join(block.text for block in blocks(PAGE) if block.language == "python")
    test = doctest.DocTestParser().get_doctest(text, {}, PAGE.name, str(PAGE), 0)
    runner = doctest.DocTestRunner()
    return runner.run(test, clear_globs=False), test.globs


def pictures(names: dict[str, Any]) -> dict[str, str]:
    """Draw the figures that the page made, by file."""
    return {file: names[figure].to_svg() for file, figure in PICTURES.items()}


if __name__ == "__main__":
    for file, svg in pictures(run_page()[1]).items():
        (DOCS / "pictures" / file).write_text(svg, encoding="utf-8")
