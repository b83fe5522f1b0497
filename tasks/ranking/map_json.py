"""Calibration maps read back from the JSON that a release carries; what is not exactly a map is refused."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ..errors import DataError, unknown
from .maps import CalibrationMap, IdentityMap, IsotonicMap, LogisticMap, MeanMap

_KINDS: Final[Mapping[str, type[CalibrationMap]]] = {
    m.kind: m for m in (IsotonicMap, LogisticMap, MeanMap, IdentityMap)
}


def map_from_json(plain: object) -> CalibrationMap:
    """Read a map back.

    Raises
    ------
    DataError
        Not an object of a known kind with exactly its fields, or figures that make no map.

    Examples
    --------
    >>> map_from_json({"kind": "logistic", "slope": 1.0, "intercept": -0.5})
    LogisticMap(slope=1.0, intercept=-0.5)
    """
    if not isinstance(plain, Mapping):
        raise DataError(f"A calibration map is a JSON object, not {type(plain).__name__}.")
    kind = plain.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise DataError(unknown("kind", str(kind), _KINDS, where="a calibration map"))
    map_type = _KINDS[kind]
    fields = {name: value for name, value in plain.items() if name != "kind"}
    known = tuple(map_type.__dataclass_fields__)
    if set(fields) != set(known):
        raise DataError(
            f"A {kind} map has the fields {', '.join(known)}; found {', '.join(map(str, fields)) or 'none'}."
        )
    return map_type(**{name: _read_field(value, name) for name, value in fields.items()})


def _read_field(value: object, name: str) -> Any:
    """Accept a number, or a list of them for knots; a bool is neither."""
    if name.startswith("knots_"):
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise DataError(f"{name} of a calibration map must be a list of numbers.")
        return tuple(read_number(item, name) for item in value)
    return read_number(value, name)


def read_number(value: object, name: str) -> float:
    """Accept a JSON number; a bool is not one.

    Raises
    ------
    DataError
        It is not a number, or too large.

    Examples
    --------
    >>> read_number(1, "slope")
    1.0
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DataError(f"{name} of a calibration map holds {value!r}, which is not a number.")
    try:
        return float(value)
    except OverflowError as error:
        raise DataError(f"{name} of a calibration map holds a number too large.") from error
