import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import OperationalError

from dags.plugins import airflow_local_settings

READ, WRITE = "SELECT max(day) FROM runs", "INSERT INTO runs VALUES (2)"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """Connect to a database in the mode of Airflow's, and wait for no lock."""
    with sqlite3.connect(tmp_path / "airflow.db") as made:
        made.execute("PRAGMA journal_mode=WAL")
        made.execute("CREATE TABLE runs (day INTEGER)")
        made.execute("INSERT INTO runs VALUES (1)")
    made.close()
    engine = create_engine(f"sqlite:///{tmp_path / 'airflow.db'}?timeout=0")
    yield engine
    engine.dispose()


def test_a_savepoint_that_reads_first_can_write_though_another_process_wants_to(engine: Engine) -> None:
    with engine.connect() as ours, engine.connect() as other:
        with ours.begin_nested():
            assert ours.scalar(text(READ)) == 1
            assert "locked" in _refusal(other, WRITE)
            ours.execute(text(WRITE))
        ours.commit()
        assert other.scalar(text(READ)) == 2


def test_without_the_setting_the_write_after_the_read_is_refused(engine: Engine) -> None:
    event.remove(Engine, "savepoint", airflow_local_settings._begin_as_writer)
    try:
        with engine.connect() as ours, engine.connect() as other, ours.begin_nested():
            assert ours.scalar(text(READ)) == 1
            assert _refusal(other, WRITE) == ""
            other.commit()
            assert "locked" in _refusal(ours, WRITE)
    finally:
        event.listen(Engine, "savepoint", airflow_local_settings._begin_as_writer)


def test_a_savepoint_within_a_transaction_begins_none(engine: Engine) -> None:
    with engine.connect() as ours:
        ours.execute(text(WRITE))
        with ours.begin_nested():
            ours.execute(text(WRITE))
        ours.commit()
        assert ours.scalar(text("SELECT count(*) FROM runs")) == 3


def _refusal(connection: Connection, statement: str) -> str:
    """Execute a statement; return the words of the refusal, if any."""
    try:
        connection.execute(text(statement))
    except OperationalError as error:
        return str(error.orig)
    return ""
