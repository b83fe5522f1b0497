"""``python -m tasks.cli.project ...``: a command of the program as the process of an MLflow project.

What MLflow opened for it is the project run. The runs of the command's steps are nested below it, and it
keeps the answer, or the error, as tags. A verdict that says no is an answer: the project run has ended well.

A parameter that was left empty is one that was not given, and the result is written to stderr: stdout
belongs to whoever launched the project.
"""

import contextlib
import sys
from collections.abc import Sequence

from tasks.cli import program
from tasks.cli.arguments import build_parser
from tasks.errors import EquipoiseError
from tasks.stores.projects import ProjectRun
from tasks.stores.workspace import home_folder


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    words = sys.argv[1:] if argv is None else argv
    with contextlib.redirect_stdout(sys.stderr):
        return program.main(without_empty(words), answer=_answer)


def without_empty(words: Sequence[str]) -> list[str]:
    """Leave out options without a value.

    Examples
    --------
    >>> without_empty(["train", "--as-of=2026-01-01T00:00:00Z", "--snapshot=", "--", "feed", "click"])
    ['train', '--as-of=2026-01-01T00:00:00Z', '--', 'feed', 'click']
    """
    return [word for word in words if not (word.startswith("--") and word.endswith("="))]


def _answer(argv: Sequence[str] | None) -> program.Outcome:
    run = ProjectRun.from_environment(home_folder())
    arguments, result, _ = program.answer(argv) if run is None else _recorded(run, argv)
    return arguments, result, 0


def _recorded(run: ProjectRun, argv: Sequence[str] | None) -> program.Outcome:
    try:
        arguments = build_parser().parse_args(argv)
        run.begin(arguments.run.__name__, arguments.parent_run)
        arguments.parent_run = run.run_id
        result, code = arguments.run(arguments)
    except EquipoiseError as error:
        with contextlib.suppress(Exception):  # the command's own error matters, not that of writing it down
            run.failed(error)
        raise
    run.answered(program.as_plain(result))
    return arguments, result, code


if __name__ == "__main__":
    sys.exit(main())
