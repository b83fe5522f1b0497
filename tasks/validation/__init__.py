"""Great Expectations: our own expectations, running suites, severity."""

import sys


def _import_without_spark() -> None:
    """Import Great Expectations as where pyspark is not installed: no batch of ours is one of Spark's.

    Where it is installed, the library imports ``pyspark.sql.connect``, which takes a second and ends any
    process whose main module has no file, such as the workers of pytest-xdist.
    """
    if "pyspark" in sys.modules:
        return
    sys.modules["pyspark"] = None  # type: ignore[assignment]  # an import of it then fails
    try:
        import great_expectations  # noqa: F401, PLC0415 - here, on purpose
    finally:
        del sys.modules["pyspark"]


_import_without_spark()
