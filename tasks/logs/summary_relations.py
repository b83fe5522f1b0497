"""The summaries of files as relations of the session: what is counted as tables, requests as views."""

from collections.abc import Iterable, Mapping

from sqlglot import exp

from tasks.logs.summaries import Summaries, Summary
from tasks.logs.tables import LogTables
from tasks.sql import expressions as x
from tasks.sql.templates import fill


def opened(log: LogTables, named: Mapping[str, Summaries]) -> None:
    """Make relations of summaries by name, of all but requests; each file is read once.

    Their columns are facet, day, name, number, n, total, and the summary's file.
    """
    paths = dict.fromkeys(one.path for found in named.values() for one in found.of_files)
    log.connection.execute(fill(_READ if paths else _NOTHING, paths=x.texts(paths)))
    for name, found in named.items():
        own = [x.text(one.path) for one in found.of_files] or [exp.Null()]
        log.connection.execute(fill(_OF_FILES, name=x.table(name), own=own))


_READ = """
    CREATE OR REPLACE TEMP TABLE summaries AS
    SELECT facet, day, name, number, n, total, filename AS summary FROM read_parquet($paths, filename = true)
    WHERE facet <> 'request'
"""
_NOTHING = """
    CREATE OR REPLACE TEMP TABLE summaries (
      facet VARCHAR, day DATE, name VARCHAR, number UBIGINT, n BIGINT, total DECIMAL(38, 0), summary VARCHAR)
"""
_OF_FILES = "CREATE OR REPLACE TEMP TABLE $name AS SELECT * FROM summaries WHERE summary IN ($own)"


def requests(log: LogTables, name: str, files: Iterable[Summary]) -> None:
    """Make a relation of the requests of some impressions' summaries: number, and the summary's file."""
    paths = [one.path for one in files]
    log.connection.execute(
        fill(_REQUESTS_OF if paths else _NO_REQUEST, name=x.table(name), paths=x.texts(paths))
    )


_REQUESTS_OF = """
    CREATE OR REPLACE TEMP VIEW $name AS
    SELECT number, filename AS summary FROM read_parquet($paths, filename = true) WHERE facet = 'request'
"""
_NO_REQUEST = "CREATE OR REPLACE TEMP VIEW $name AS SELECT 0::UBIGINT AS number, '' AS summary FROM range(0)"
