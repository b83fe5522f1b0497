"""Validation of a label snapshot, which decides whether it is fit to learn from.

SQL measures what a table holds (``*_measurements``); each rule judges the figures (``rules``). The suites of
``expectations/`` say which rules apply, with which bounds, and how severe a failure is.

Steps: step, measure, suites, expectations
"""

import sys


def _import_without_spark() -> None:
    """Import Great Expectations as where pyspark is not installed: no batch of ours is one of Spark's.

    Where it is installed, the library imports ``pyspark.sql.connect``, which takes a second and ends any
    process whose main module has no file, such as the workers of pytest-xdist.
    """
    absent = [name for name in ("pyspark", "pyspark.sql.connect") if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # an import of them then fails
    try:
        import great_expectations  # noqa: F401, PLC0415 - here, on purpose
    finally:
        for name in absent:
            del sys.modules[name]


_import_without_spark()
