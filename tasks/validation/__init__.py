"""Validation of a label snapshot: whether it is fit to learn from.

In reading order::

    measurements                       figures of a table: small rows, however large the table is
      row_measurements                 impressions and candidates: rows, keys, users, constraints, infinities
      event_measurements               the events that are known as of the snapshot
      label_measurements               laws of the labels; statuses, positives, features and segments by day
    measure                            all of these for a snapshot, by suite
    findings                           a rule, its judgement, and the result of a suite
      trailing                         the usual interval of a day, from the days before it
      day_rules, rules                 the rules, and the table of them
    suites                             a suite of ``expectations/`` run by Great Expectations
    report, step                       the report; the step that publishes a snapshot

Steps: step, measure, suites
"""

import sys

__all__ = ["measure", "step"]


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
