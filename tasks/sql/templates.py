"""SQL templates of DuckDB, filled with sqlglot expressions only: so every name is quoted.

Examples
--------
>>> from tasks.sql import expressions as x
>>> fill("SELECT count(*) FROM $table WHERE $no_id", table=x.table("log"), no_id=x.is_null(x.column("id")))
'SELECT count(*) FROM "log" WHERE "id" IS NULL'
"""

from collections.abc import Sequence
from string import Template

from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB

from tasks.sql.dialects import for_dialect

Part = exp.Expr | Sequence[exp.Expr]


def fill(template: str, **parts: Part) -> str:
    """Return a template with expressions, or lists of them, in place of its ``$names``."""
    return Template(template).substitute({name: _sql(part) for name, part in parts.items()})


def _sql(part: Part) -> str:
    if isinstance(part, exp.Expr):
        return for_dialect(part, "duckdb").sql(dialect=DuckDB, identify=True, copy=False)
    return ", ".join(_sql(one) for one in part)


def render(query: exp.Expr, dialect: str = "duckdb") -> str:
    """Return a query as text of a dialect, every name quoted."""
    return for_dialect(query, dialect).sql(dialect=dialect, identify=True, pretty=True)
