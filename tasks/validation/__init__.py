"""Validation of a label snapshot: whether training may use it.

In reading order::

    measurements                       statistics of a table: few rows, however large the table is
      row_measurements                 impressions and candidates: rows, keys, users, constraints, infinities
      label_measurements               label rules; statuses, positives, features and segments by day
    measure                            all of these and the known events, for a snapshot, by suite
    findings                           a rule, its result, and the result of a suite
      trailing                         the usual interval of a day, from the days before it
      day_rules, rules                 the rules, and the table of them
    report, step                       the report; the step that runs the suites of ``expectations/`` and
                                       publishes a snapshot

Steps: step, measure
"""

import sys

__all__ = ["measure", "step"]


def _import_without_spark() -> None:
    """Import Great Expectations as if pyspark were not installed, since no batch uses Spark.

    If pyspark is installed, the library imports ``pyspark.sql.connect``, which takes a second and crashes
    every process whose main module has no file, such as the workers of pytest-xdist.
    """
    absent = [name for name in ("pyspark", "pyspark.sql.connect") if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # an import of them then fails
    try:
        import great_expectations  # noqa: F401, PLC0415 - imported under the condition above
    finally:
        for name in absent:
            del sys.modules[name]


_import_without_spark()
