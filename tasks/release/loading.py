"""Loads a release from a local folder and translates its errors into this program's errors.

A release raises the errors of its own code, which have the same names as those in ``tasks/errors.py``. They
are re-raised as the latter, so that a wrong column is a DataError in either case.

Values that no head saw in training are scored and counted::

    categorical   a value that is in no head's training rows: the model treats it as missing
    numeric       below the minimum or above the maximum of every head's training rows

Both are read from the release: from the categories of its encoders, and from the ranges that LightGBM stores
with its trees. Nulls are not counted. A feature that was constant in training has no range.
"""

import json
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeVar

import mlflow.pyfunc
import numpy as np
import pandas as pd

from tasks import errors
from tasks.arrays import Flags, Floats
from tasks.contracts.slate import Boosts
from tasks.ranking.heads import Head
from tasks.release.packaging import PREFIX
from tasks.stores.manifest import MANIFEST, ROOT, Manifest

Scored = TypeVar("Scored")
_OWN: Final = ContextVar("own_loading", default=False)


_CHUNK = 1 << 17
_RANGE = re.compile(r"\[(?P<least>[^:\]]+):(?P<greatest>[^:\]]+)\]")


@dataclass(frozen=True)
class LoadedRelease:
    """A release that was verified against its manifest, with its own code."""

    manifest: Manifest
    _model: Any
    pyfunc: mlflow.pyfunc.PyFuncModel
    boosts: Boosts = field(default_factory=dict)

    @property
    def provenance(self) -> dict[str, str | int | None]:
        """Return ``model_version`` and ``calibration_version``, JSON by task, and ``release``.

        ``release``, the registered version, is None if MLflow did not download the folder.
        """
        return dict(self._model.provenance)

    @property
    def boosts_groups(self) -> bool:
        """Whether the slate policy has exposure targets, so that group boosts apply."""
        exposure = getattr(getattr(self._model.scorer, "slate", None), "exposure", None)
        return exposure is not None and bool(exposure.least)

    def boosted(self, boosts: Boosts) -> "LoadedRelease":
        """Return the release with the given group boosts."""
        return replace(self, _model=_translate_errors(self._model.boosted, json.dumps(boosts)), boosts=boosts)

    def score(
        self, frame: pd.DataFrame, *, certificate: bool = False, components: bool = False
    ) -> pd.DataFrame:
        """Score candidates: one output row per input row, in the same order (columns: ``Scorer.score``).

        Parameters
        ----------
        certificate : whether to report which rules every slate meets; releases without certificates lack it.
        components : whether to return each utility term's weight and contribution.
        """
        asked = {"certificate": certificate, "components": components}
        if not hasattr(self._model, "score"):
            return _translate_errors(self._model.predict, None, frame, asked)
        return _translate_errors(
            self._model.score, frame, *(name for name, wanted in asked.items() if wanted)
        )

    def predict(self, frame: pd.DataFrame) -> dict[str, Floats]:
        """Return the heads' predictions by column, each [n] (`Heads.predict`)."""
        return _translate_errors(self._model.scorer.predict, frame)

    def serve(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Score candidates as a user who loads the release with MLflow does, with its signature enforced.

        Columns that are not in the signature are left out.
        """
        asked = self.pyfunc.metadata.get_input_schema()
        names = [] if asked is None else asked.input_names()
        served = frame[[name for name in names if name in frame]] if names else frame
        scored: pd.DataFrame = self.pyfunc.predict(served)
        return scored

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that the release reads."""
        return tuple(self._model.scorer.columns)

    @property
    def heads(self) -> tuple[Head, ...]:
        """Heads of the release, one per task."""
        return tuple(self._model.scorer.heads.heads.values())

    def explain(self, frame: pd.DataFrame, request_id: object) -> pd.DataFrame:
        """Return one request's candidates with their components, drop reasons and moves."""
        return _translate_errors(self._model.explain, frame, request_id)


def load_release(folder: Path) -> LoadedRelease:
    """Load a release from the folder of its registered model."""
    try:
        with _clean_copy(folder) as copy:
            with _own_loading():
                model = mlflow.pyfunc.load_model(str(copy))
            manifest = Manifest.from_bytes((copy / ROOT / MANIFEST).read_bytes())
        return LoadedRelease(manifest, model.unwrap_python_model(), model)
    except errors.StoreError:
        raise
    except Exception as error:
        raise errors.StoreError(f"The release in {folder} cannot be loaded: {error}") from error


def is_own_loading() -> bool:
    """Whether this program is loading a release; otherwise the release checks the audit itself."""
    return _OWN.get()


@contextmanager
def _own_loading() -> Iterator[None]:
    before = _OWN.set(True)
    try:
        yield
    finally:
        _OWN.reset(before)


@contextmanager
def _clean_copy(folder: Path) -> Iterator[Path]:
    """Copy a release without Python's caches, which are not pinned; a loaded release needs no files."""
    before = list(sys.path)
    with tempfile.TemporaryDirectory(prefix="equipoise-release-") as scratch:
        try:
            copy = Path(scratch) / "model"
            shutil.copytree(folder, copy, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
            yield copy
        finally:
            sys.path[:] = before


def _translate_errors(call: Callable[..., Scored], *arguments: object) -> Scored:
    try:
        return call(*arguments)
    except Exception as error:
        kind = getattr(errors, type(error).__name__, None)
        if kind is None or not type(error).__module__.startswith(PREFIX):
            raise
        raise kind(str(error)) from error


def find_strange_inputs(heads: Iterable[Any], frame: pd.DataFrame) -> dict[str, float]:
    """Return the share of candidates with a value unseen in training, by feature; only shares above 0."""
    own = list(heads)
    strange: dict[str, int] = {}
    for start in range(0, len(frame), _CHUNK):
        for name, flags in _strange_rows(own, frame.iloc[start : start + _CHUNK]).items():
            strange[name] = strange.get(name, 0) + int(flags.sum())
    return {name: count / len(frame) for name, count in sorted(strange.items()) if count}


def _strange_rows(heads: Iterable[Any], frame: pd.DataFrame) -> dict[str, Flags]:
    """Return by feature the rows whose value is unseen by every head that reads it."""
    strange: dict[str, Flags] = {}
    for head in heads:
        matrix, ranges = head.encoder.matrix(frame, head.held), _ranges(head.booster)
        for place, name in enumerate(head.encoder.names):
            if name in head.held:
                continue
            values = matrix[:, place]
            if name in head.encoder.categories:
                flags = np.isnan(values) & frame[name].notna().to_numpy()
            else:
                least, greatest = ranges.get(place, (-np.inf, np.inf))
                flags = (values < least) | (values > greatest)
            strange[name] = strange[name] & flags if name in strange else flags
    return strange


def _ranges(booster: Any) -> Mapping[int, tuple[float, float]]:
    """Return the minimum and maximum training value of each feature, by the feature's index."""
    header = booster.model_to_string(num_iteration=1)
    line = next((line for line in header.splitlines() if line.startswith("feature_infos=")), "")
    infos = enumerate(line.partition("=")[2].split())
    found = ((place, _RANGE.fullmatch(info)) for place, info in infos)
    return {place: (float(m["least"]), float(m["greatest"])) for place, m in found if m}
