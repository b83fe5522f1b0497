"""A run's note: release, verdict or error of the run, on one line.

::

    **Hold** · [release 3](MLflow) · snapshot 5d6a… · as of 2026-05-13T00:00:00Z
    **Failed** at models.train (click_30m): `ImmatureLabels: …` · as of 2026-05-13T00:00:00Z

A step may not write to Airflow's database, so it pushes its words as an XCom, and a listener in the scheduler
(`dags/plugins/notes.py`) writes them when the run ends. Text that a person wrote is kept below them.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from airflow.listeners import hookimpl

WORDS: Final = "note"
ERROR: Final = "error"
_BELOW: Final = "\n\n---\n\n"
_LONGEST: Final = 1000  # of what Airflow keeps
_LONGEST_ERROR: Final = 300


def tell(words: str, address: str = "") -> None:
    """Add words to the run's note, as a link if there is an address."""
    from airflow.sdk import get_current_context

    text = f"[{words}]({address})" if address else words
    get_current_context()["ti"].xcom_push(WORDS, text)


def tell_error(error: BaseException) -> None:
    """Write the reason of a failure to the run's note."""
    from airflow.sdk import get_current_context

    get_current_context()["ti"].xcom_push(ERROR, in_one_line(error))


def in_one_line(error: BaseException) -> str:
    r"""Write an error as a line that markdown leaves alone.

    Examples
    --------
    >>> in_one_line(ValueError("no `click`\n  in tasks.yaml"))
    "`ValueError: no 'click' in tasks.yaml`"
    """
    text = " ".join(f"{type(error).__name__}: {error}".replace("`", "'").split())
    return f"`{text if len(text) <= _LONGEST_ERROR else text[: _LONGEST_ERROR - 1] + '…'}`"


def compose(words: Sequence[str], failed: Sequence[tuple[str, str]] = (), *, ended: str = "") -> str:
    """Write the line.

    Parameters
    ----------
    words : what the steps said, the latest first.
    failed : the steps that failed, each with its error, the first to fail first.
    ended : how Airflow says that the run failed, for one that failed in no step.

    Examples
    --------
    >>> compose(["**Hold**", "release 3"])
    '**Hold** · release 3'
    >>> compose(["as of noon"], [("labels", "`DataError: no events`"), ("gate", "`GateRefused: no labels`")])
    '**Failed** at labels: `DataError: no events` (and 1 more step) · as of noon'
    >>> compose(["as of noon"], ended="timed_out")
    '**Failed**: timed out · as of noon'
    """
    return " · ".join([*_failure(failed, ended), *words])


def beside(line: str, before: str | None, *, by_person: bool) -> str:
    r"""Put the line above what a person wrote, in the place of an earlier line of ours.

    Examples
    --------
    >>> beside("**Hold**", "Before the holidays.", by_person=True)
    '**Hold**\n\n---\n\nBefore the holidays.'
    >>> beside("**Promote**", "**Hold**\n\n---\n\nBefore the holidays.", by_person=True)
    '**Promote**\n\n---\n\nBefore the holidays.'
    """
    _, automatic, of_people = (before or "").partition(_BELOW)
    if not automatic:
        of_people = (before or "") if by_person else ""
    return (f"{line}{_BELOW}{of_people}" if of_people else line)[:_LONGEST]


class NoteWriter:
    """Writes the note of a run that ends; lives in the scheduler."""

    @hookimpl
    def on_dag_run_success(self, dag_run: Any) -> None:
        """Write what the steps said."""
        _write(dag_run)

    @hookimpl
    def on_dag_run_failed(self, dag_run: Any, msg: str) -> None:
        """Write which step failed and why."""
        _write(dag_run, ended=msg)


def _write(dag_run: Any, *, ended: str = "") -> None:
    """Write a run's note within the session that ends the run."""
    if dag_run.dag is None or "equipoise" not in dag_run.dag.tags:
        return
    from airflow.settings import Session
    from sqlalchemy.orm import object_session

    session = object_session(dag_run)
    if session is None:  # `dag.test` hands over a run that it detached
        session = Session()
        dag_run = session.merge(dag_run)
    line = compose(*_said(dag_run, session), ended=ended)
    held = dag_run.dag_run_note
    text = beside(line, held and held.content, by_person=bool(held and held.user_id))
    if held is None:
        dag_run.note = text
    else:
        held.content = text


def _said(dag_run: Any, session: Any) -> tuple[list[str], list[tuple[str, str]]]:
    """Return the steps' words, the latest first, and the failed steps with their errors."""
    from airflow.models.xcom import XComModel
    from sqlalchemy import select

    of_run = (XComModel.dag_id == dag_run.dag_id, XComModel.run_id == dag_run.run_id)
    rows = session.scalars(select(XComModel).where(*of_run, XComModel.key.in_((WORDS, ERROR)))).all()
    newest_first = sorted(rows, key=lambda row: row.timestamp, reverse=True)
    words = [str(XComModel.deserialize_value(row)) for row in newest_first if row.key == WORDS]
    errors = {(r.task_id, r.map_index): str(XComModel.deserialize_value(r)) for r in rows if r.key == ERROR}
    return words, list(_failed(dag_run.get_task_instances(session=session), errors))


def _failed(instances: Iterable[Any], errors: Mapping[tuple[str, int], str]) -> Iterable[tuple[str, str]]:
    own = [instance for instance in instances if str(instance.state) == "failed"]
    for instance in sorted(own, key=lambda instance: str(instance.end_date)):
        named = f" ({instance.rendered_map_index})" if instance.rendered_map_index else ""
        why = errors.get((instance.task_id, instance.map_index), "it ended without a word, see its log")
        yield f"{instance.task_id}{named}", why


def _failure(failed: Sequence[tuple[str, str]], ended: str) -> list[str]:
    if not failed:
        return [f"**Failed**: {ended.replace('_', ' ')}"] if ended else []
    (step, error), more = failed[0], len(failed) - 1
    others = f" (and {more} more step{'s' if more > 1 else ''})" if more else ""
    return [f"**Failed** at {step}: {error}{others}"]
