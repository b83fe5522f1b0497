"""Scores candidates and decides on them: the code that a release serves.

::

    heads.json                    the tasks in order: kind, level, parent; for a debiased head its held
                                  features, or that it is corrected by examination; for a head with a
                                  shared trunk its folder, and whether it is blended with the trees
    models/<task>.txt             LightGBM as text
    encoders/<task>.json          columns and categories seen in training
    trunks/<trunk>-<version>/     a shared trunk, used by some heads
    calibrators/<task>.json       map from its scores to probabilities (or values), some by segment
    joints/<task>.json            map on the product along the chain, if there is one
    examination.json              the examination of each position, if the surface declares it
    utility.json, slate.json      the policies' canonical content

The files are the whole state: no other file is read, and nothing is unpickled.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field, TypeAdapter, ValidationError

from ..columns import (
    CONTEXT,
    DRAWABLE,
    DROPPED_BY,
    EXPOSURE_BOOST,
    ITEM_ID,
    PROPENSITY,
    RANK,
    REQUEST_ID,
    SLATE_POSITION,
    UTILITY,
    weight_factor,
)
from ..contracts.slate import SlateSpec
from ..contracts.utility import UtilitySpec
from ..errors import DataError, StoreError, unknown
from .decide import decide
from .examination import FILE as EXAMINATION
from .examination import Examination
from .explain import Explanation, explain, match_request
from .features import FeatureEncoder
from .heads import Head, Heads
from .maps import map_from_json
from .segmented_map import calibrator_from_json
from .trunk import ARRAYS, DESCRIPTION, TrunkModel

DECIDED = (UTILITY, RANK, SLATE_POSITION, DROPPED_BY, CONTEXT)
_BOOSTS = TypeAdapter(dict[str, dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]]])


@dataclass(frozen=True)
class Scorer:
    """A release's heads and policies."""

    heads: Heads
    utility: UtilitySpec
    slate: SlateSpec

    @classmethod
    def load(cls, folder: Path) -> "Scorer":
        """Read a release folder without checking it with the manifest (``model.py`` does)."""
        paths = (path for path in folder.rglob("*") if path.is_file())
        return cls.from_files({path.relative_to(folder).as_posix(): path.read_bytes() for path in paths})

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> "Scorer":
        """Read a release folder's files by relative path.

        Raises
        ------
        StoreError
            A file is missing.
        """
        entries = json.loads(_file(files, "heads.json"))["heads"]
        shared = [entry["trunk"] for entry in entries if "trunk" in entry]
        trunks = {folder: _trunk(files, folder) for folder in dict.fromkeys(shared)}
        return cls(
            heads=Heads({entry["task"]: _head(files, entry, trunks) for entry in entries}),
            utility=UtilitySpec.model_validate(json.loads(_file(files, "utility.json"))),
            slate=SlateSpec.model_validate(json.loads(_file(files, "slate.json"))),
        )

    def boosted(self, boosts: str) -> "Scorer":
        """Return the scorer with the given boosts, JSON by column and value of `exposure` in slate.yaml.

        Raises
        ------
        DataError
            The JSON has another form, or a boost is negative.
        """
        try:
            return replace(self, slate=self.slate.boosted(_BOOSTS.validate_json(boosts)))
        except ValidationError:
            shown = '{"creator_tier": {"new": 0.02}}'
            raise DataError(
                f"Boosts are {boosts[:100]!r}. Give numbers of 0 or more as in {shown}."
            ) from None

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that the candidates must have: the key first, the others by name."""
        read = {*self.heads.columns, *self.utility.columns, *self.slate.columns}
        return (REQUEST_ID, ITEM_ID, *sorted(read - {REQUEST_ID, ITEM_ID}))

    def predict(self, frame: pd.DataFrame) -> dict[str, npt.NDArray[np.float64]]:
        """Return each head's predictions by column (`Heads.predict`), each of shape [rows]."""
        self._require_columns(frame)
        return self.heads.predict(frame)

    def score(
        self, frame: pd.DataFrame, *, certificate: bool = False, components: bool = False
    ) -> pd.DataFrame:
        """Score and rank candidates, and fill slates.

        Parameters
        ----------
        frame : one row per candidate, all of a request's candidates together; ``columns`` are required.
        certificate : whether to add the rules that every slate meets.
        components : whether to add the weight and the contribution of each term of the utility.

        Returns
        -------
        DataFrame
            One row per candidate in the same order: request_id, item_id, ``p_<task>`` (joint),
            ``p_<task>__given`` for a task with a parent, ``v_<task>`` for a value task, ``p_<task>__shown``
            for a debiased one if the candidates have positions, utility, rank,
            slate_position (null off the slate), dropped_by (null or the constraint's name), context; if
            the slate policy explores, propensity of an item at its slot given those above it, and drawable,
            whether it could have been drawn; with exposure targets, exposure_boost; with perturbed
            weights ``factor_<task>``, the factor of the user's weight; on request
            certificate: in the first row of a request, as JSON, the rules that its slate meets and why it
            falls short of the others; and ``weight_<term>``, ``contribution_<term>``, which sum to the
            utility (before the offset and the multipliers of a policy that has them).

        Raises
        ------
        DataError
            A column is missing or of the wrong kind, a key is null or repeated.
        """
        predictions = self.predict(frame)
        decision = decide(frame, predictions, self.utility, self.slate)
        decided = decision.frame
        predicted = pd.DataFrame(predictions, index=decided.index)
        factors = [weight_factor(term) for term in decision.valued.factors]
        shown = [
            name for name in (*DECIDED, PROPENSITY, DRAWABLE, EXPOSURE_BOOST, *factors) if name in decided
        ]
        parts = [decided[[REQUEST_ID, ITEM_ID]], predicted, decided[shown]]
        parts += [pd.DataFrame(decision.valued.columns, index=decided.index)] if components else []
        return pd.concat([*parts, decision.certificate] if certificate else parts, axis="columns")

    def explain(self, frame: pd.DataFrame, request_id: object) -> pd.DataFrame:
        """Explain one request: a row per candidate and term, with drop reasons and the rules that moved it.

        Raises
        ------
        DataError
            There is no candidate of that request, or an error of ``score``.
        """
        return self.explanation(frame, request_id).frame

    def explanation(self, frame: pd.DataFrame, request_id: object) -> Explanation:
        """Return the explanation of one request as an object."""
        self._require_columns(frame)
        request = frame[match_request(frame, request_id)]
        if request.empty:
            raise DataError(f"No candidate of request '{request_id}' in {len(frame)} rows.")
        predictions = self.heads.predict(request)
        return explain(request, predictions, self.utility, self.slate, request_id=request_id)

    def _require_columns(self, frame: pd.DataFrame) -> None:
        names = [str(name) for name in frame.columns]
        missing = [name for name in self.columns if name not in names]
        if missing:
            first, *others = missing
            also = f" Missing too: {', '.join(others)}." if others else ""
            raise DataError(f"{unknown('column', first, names, where='the candidates, but needed')}{also}")


def _trunk(files: Mapping[str, bytes], folder: str) -> TrunkModel:
    return TrunkModel.from_files({name: _file(files, f"{folder}/{name}") for name in (ARRAYS, DESCRIPTION)})


def _head(files: Mapping[str, bytes], entry: Mapping[str, Any], trunks: Mapping[str, TrunkModel]) -> Head:
    task = entry["task"]
    joint = f"joints/{task}.json"
    return Head(
        task=task,
        kind=entry["kind"],
        parent=entry["parent"],
        booster=lgb.Booster(model_str=_file(files, f"models/{task}.txt").decode()),
        encoder=FeatureEncoder.from_json(json.loads(_file(files, f"encoders/{task}.json"))),
        calibrator=calibrator_from_json(json.loads(_file(files, f"calibrators/{task}.json"))),
        joint=map_from_json(json.loads(files[joint])) if joint in files else None,
        held=entry.get("held", {}),
        examination=_examination(files) if entry.get("examined") else None,
        trunk=trunks[entry["trunk"]] if "trunk" in entry else None,
        blended="trunk" in entry and entry["blended"],
    )


def _examination(files: Mapping[str, bytes]) -> Examination:
    return Examination.from_json(json.loads(_file(files, EXAMINATION)))


def _file(files: Mapping[str, bytes], path: str) -> bytes:
    try:
        return files[path]
    except KeyError:
        raise StoreError(unknown("file", path, files, where="the release")) from None
