"""Settings that every process of Airflow loads at its start; Airflow finds them by the name of this module.

On sqlite, a transaction that begins with a savepoint begins as a reader. When it writes after another process
has written, sqlite refuses the statement at once, however long the connection may wait for a lock. A backfill
is created in such transactions: Airflow then deletes its runs, and a scheduler that has read them ends. Such
a transaction begins as a writer here, and waits for its turn.

Sources: https://www.sqlite.org/lang_transaction.html, https://www.sqlite.org/rescode.html#busy_snapshot
"""

from sqlalchemy import Connection, event
from sqlalchemy.engine import Engine

__all__: list[str] = []  # Airflow copies the names of this list


def _begin_as_writer(connection: Connection, _name: str) -> None:
    driver = connection.connection.driver_connection
    if connection.dialect.name == "sqlite" and driver is not None and not driver.in_transaction:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


event.listen(Engine, "savepoint", _begin_as_writer)
