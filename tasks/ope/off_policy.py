"""The off-policy step: estimates a target policy from a log, both Parquet files or folders of them.

The estimators and the formats of the two tables are in `tasks.ope`.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tasks import columns as c
from tasks.errors import DataError
from tasks.logs import parquet_footer
from tasks.logs.parquet_footer import parquet_below
from tasks.ope.estimate import OffPolicyReport, estimate_off_policy
from tasks.ope.gradient import GradientReport, estimate_gradient
from tasks.ope.log_rows import (
    OPTIONAL,
    OPTIONAL_OF_TARGET,
    REQUIRED,
    REQUIRED_OF_TARGET,
    TARGET,
    refuse_missing,
)
from tasks.ope.log_rows import TABLE as LOG
from tasks.stores.location import relative_path


def run(
    *,
    log: Path,
    target: Path,
    reward: str,
    at_least: float | None = None,
    estimator: str | None = None,
    balance: Sequence[str] | None = None,
) -> OffPolicyReport:
    """Estimate the reward that a target policy would have earned; see `estimate_off_policy`.

    Raises
    ------
    DataError
        A file is missing or is not Parquet, or its table is invalid.
    ContractError
        The estimator is unknown, or the log does not allow it.
    """
    needed, others = (*REQUIRED, reward, *(balance or ())), "\0" if balance is not None else ""
    return estimate_off_policy(
        read_table(log, needed, (*OPTIONAL, c.status(reward)), table=LOG, prefix=others),
        read_table(target, REQUIRED_OF_TARGET, OPTIONAL_OF_TARGET, table=TARGET),
        reward=reward,
        at_least=at_least,
        estimator=estimator,
        balance=balance,
    )


def read_gradient(*, log: Path, reward: str) -> GradientReport:
    """Estimate the gradient of a mean reward by perturbed weights; see `estimate_gradient`.

    Raises
    ------
    DataError
        The file is missing or is not Parquet, or its table is invalid.
    """
    needed, optional = (c.REQUEST_ID, c.USER_ID, reward), (c.status(reward),)
    frame = read_table(log, needed, optional, table=LOG, prefix=c.weight_factor(""))
    return estimate_gradient(frame, reward=reward)


def read_table(
    source: Path, needed: Sequence[str], optional: Sequence[str], *, table: str, prefix: str = "\0"
) -> pd.DataFrame:
    """Read the needed columns, and existing optional columns and columns with a prefix.

    Columns with a prefix are read only if they are not nested.
    """
    files = _files(source, table)
    try:
        footers = parquet_footer.read(table, files)  # pyarrow aborts the process on some corrupt footers
        names = [[column.name for column in footer.columns] for footer in footers]
        flat = [{one.name for one in footer.columns if not one.nested} for footer in footers]
    except Exception as error:
        raise DataError(f"The {table}: {source} is not readable Parquet: {error}") from error
    for of_file in names:
        refuse_missing(needed, of_file, table=table)
    asked = {*needed, *optional}
    wanted = [
        [n for n in of_file if n in asked or (n.startswith(prefix) and n in plain)]
        for of_file, plain in zip(names, flat, strict=True)
    ]
    try:
        read = [
            pq.ParquetFile(file).read(columns=of_file) for file, of_file in zip(files, wanted, strict=True)
        ]
        rows = pa.concat_tables(read, promote_options="permissive")
        rows.validate(full=True)  # strings that are not UTF-8 would fail on later access
        frame = rows.to_pandas(ignore_metadata=True)
    except Exception as error:  # a footer also holds JSON of pandas, which may be corrupt
        raise DataError(f"The {table}: {source} is not readable Parquet: {error}") from error
    coded = [name for name, kind in frame.dtypes.items() if isinstance(kind, pd.CategoricalDtype)]
    return frame.astype({name: frame[name].cat.categories.dtype for name in coded})


def _files(source: Path, table: str) -> list[Path]:
    if not source.is_dir():
        return [source]
    files = sorted(source / relative_path(source, file) for file in parquet_below(source, table=table))
    if not files:
        raise DataError(f"The {table}: {source} holds no Parquet file.")
    return files
