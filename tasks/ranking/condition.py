"""A test on one column, as policies declare it, read from a contract's canonical JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..errors import ContractError, unknown

Scalar = str | bool | int | float
Operator = Literal["one_of", "above", "below"]


@dataclass(frozen=True)
class Condition:
    """A test on one column: one of some values, strictly above or strictly below a number."""

    column: str
    operator: Operator
    operands: tuple[Scalar, ...]

    @classmethod
    def from_json(cls, content: Mapping[str, Any], asked_by: str) -> "Condition":
        """Read a condition; ``asked_by`` names what declares it.

        Raises
        ------
        ContractError
            It has no test, several, or an unknown one.

        Examples
        --------
        >>> Condition.from_json({"column": "new", "equals": True, "above": None}, "exploration")
        Condition(column='new', operator='one_of', operands=(True,))
        """
        tests = {
            test: operand for test, operand in content.items() if test != "column" and operand is not None
        }
        if len(tests) != 1:
            declared = f"{asked_by[:1].upper()}{asked_by[1:]}"
            raise ContractError(f"{declared} takes exactly one test, found: {', '.join(tests) or 'none'}.")
        test, operand = tests.popitem()
        match test:
            case "equals" | "one_of":
                return cls(content["column"], "one_of", operands(operand))
            case "above" | "below":
                return cls(content["column"], test, (float(operand),))
        raise ContractError(unknown("test", test, ("equals", "one_of", "above", "below"), where=asked_by))


def operands(content: Any) -> tuple[Scalar, ...]:
    """Return a value or a list of values as a tuple.

    Examples
    --------
    >>> operands("home"), operands(["home", "checkout"])
    (('home',), ('home', 'checkout'))
    """
    return tuple(content) if isinstance(content, Sequence) and not isinstance(content, str) else (content,)
