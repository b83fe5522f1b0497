"""Loads a release that lies in a local folder; what it raises is one of this program's own errors.

The release raises the errors of the code that it brought. They have the names of ours (``tasks/errors.py``)
and are given to the caller as ours, so that a wrong column is a DataError whoever finds it.

Values that no training of the release saw are scored all the same and counted::

    categorical   a value that no head's training rows held: the model takes it for a missing one
    numeric       below the least or above the greatest value that any head learned from

Both are read from the release itself: from the categories of its encoders, and from the ranges that LightGBM
keeps with its trees. A null is no strange value. A feature that was constant in training has no range.
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
    """A release that was checked against its manifest, with its own code."""

    manifest: Manifest
    _model: Any
    pyfunc: mlflow.pyfunc.PyFuncModel
    boosts: Boosts = field(default_factory=dict)

    @property
    def provenance(self) -> dict[str, str | int | None]:
        """Return ``model_version`` and ``calibration_version``, JSON by task, and ``release``.

        ``release``, the registered version, is None where the folder was not downloaded by MLflow.
        """
        return dict(self._model.provenance)

    @property
    def boosts_groups(self) -> bool:
        """Whether its slate policy aims at exposure, so that boosts of groups count."""
        exposure = getattr(getattr(self._model.scorer, "slate", None), "exposure", None)
        return exposure is not None and bool(exposure.least)

    def boosted(self, boosts: Boosts) -> "LoadedRelease":
        """Return the release with boosts of groups in force."""
        return replace(self, _model=_translate_errors(self._model.boosted, json.dumps(boosts)), boosts=boosts)

    def score(
        self, frame: pd.DataFrame, *, certificate: bool = False, components: bool = False
    ) -> pd.DataFrame:
        """Score candidates: one row in, one row out, in the same order (columns: ``Scorer.score``).

        Parameters
        ----------
        certificate : whether to say of every slate which rules it meets; a release made before there were
            certificates gives no such column.
        components : whether to show the weight and the contribution of each term of the utility.
        """
        asked = {"certificate": certificate, "components": components}
        if not hasattr(self._model, "score"):
            return _translate_errors(self._model.predict, None, frame, asked)
        return _translate_errors(
            self._model.score, frame, *(name for name, wanted in asked.items() if wanted)
        )

    def predict(self, frame: pd.DataFrame) -> dict[str, Floats]:
        """Return what each head predicts of rows by column, each [n] (`Heads.predict`)."""
        return _translate_errors(self._model.scorer.predict, frame)

    def serve(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Score candidates as whoever loads the release by MLflow does, its signature enforced.

        Columns beside the signature's are left out.
        """
        asked = self.pyfunc.metadata.get_input_schema()
        names = [] if asked is None else asked.input_names()
        served = frame[[name for name in names if name in frame]] if names else frame
        scored: pd.DataFrame = self.pyfunc.predict(served)
        return scored

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the release reads."""
        return tuple(self._model.scorer.columns)

    @property
    def heads(self) -> tuple[Head, ...]:
        """What predicts each task."""
        return tuple(self._model.scorer.heads.heads.values())

    def find_strange_inputs(self, frame: pd.DataFrame) -> dict[str, float]:
        """Return by feature the share of candidates whose value no training of the release saw."""
        return find_strange_inputs(self.heads, frame)

    def explain(self, frame: pd.DataFrame, request_id: object) -> pd.DataFrame:
        """Show one request's candidates with their components, what dropped and what moved them."""
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
    """Whether this program is loading a release; a release that is loaded otherwise asks the audit itself."""
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
    """Copy a release without Python's caches, which nobody pinned; once loaded it needs no file."""
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
    """Return by feature the share of candidates whose value no head saw in training; only shares above 0."""
    own = list(heads)
    strange: dict[str, int] = {}
    for start in range(0, len(frame), _CHUNK):
        for name, flags in _strange_rows(own, frame.iloc[start : start + _CHUNK]).items():
            strange[name] = strange.get(name, 0) + int(flags.sum())
    return {name: count / len(frame) for name, count in sorted(strange.items()) if count}


def _strange_rows(heads: Iterable[Any], frame: pd.DataFrame) -> dict[str, Flags]:
    """Return by feature the rows whose value is strange to every head that reads it."""
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
    """Return by the place of a feature the least and the greatest value that the trees were grown on."""
    header = booster.model_to_string(num_iteration=1)
    line = next((line for line in header.splitlines() if line.startswith("feature_infos=")), "")
    infos = enumerate(line.partition("=")[2].split())
    found = ((place, _RANGE.fullmatch(info)) for place, info in infos)
    return {place: (float(m["least"]), float(m["greatest"])) for place, m in found if m}
