"""``python -m tasks.cli.project ...``: run a command as the process of an MLflow project.

The project run is the run that MLflow opened for the process. The runs of the command's steps are nested
below it, and it stores the result, or the error, as tags. A negative verdict is a result: the project run
finishes successfully.

Empty parameters count as missing, and the result is written to stderr: stdout belongs to the process that
launched the project.
"""

import contextlib
import sys
from collections.abc import Sequence
from dataclasses import replace

from tasks.cli import program
from tasks.cli.program import CallResult
from tasks.errors import EquipoiseError
from tasks.stores.projects import ProjectRun
from tasks.stores.store import home_folder


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = sys.argv[1:] if argv is None else argv
    with contextlib.redirect_stdout(sys.stderr):
        return program.main(without_empty(words), answer=_answer)


def without_empty(words: Sequence[str]) -> list[str]:
    """Drop options without a value.

    Examples
    --------
    >>> without_empty(["train", "--as-of=2026-01-01T00:00:00Z", "--snapshot=", "--", "feed", "click"])
    ['train', '--as-of=2026-01-01T00:00:00Z', '--', 'feed', 'click']
    """
    return [word for word in words if not (word.startswith("--") and word.endswith("="))]


def _answer(argv: Sequence[str] | None) -> CallResult:
    run = ProjectRun.from_environment(home_folder())
    answer = program.answer(argv) if run is None else _record(run, argv)
    return replace(answer, code=0)


def _record(run: ProjectRun, argv: Sequence[str] | None) -> CallResult:
    try:
        call = program.parse(argv)
        run.begin(call.command.name, call.arguments["parent_run"])
        nested = replace(call, arguments={**call.arguments, "parent_run": run.run_id})
        answer = program.answer_call(nested)
    except EquipoiseError as error:
        with contextlib.suppress(Exception):  # a failure to record the error must not replace it
            run.failed(error)
        raise
    run.answered(answer.plain)
    return answer


if __name__ == "__main__":
    sys.exit(main())
