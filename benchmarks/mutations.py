"""One small fault in a module: where one can be made, and the module with it.

::

    a < b      a <= b        a and b    a or b       not a       a          f(3)      f(4)
    a == b     a != b        a + b      a - b        if a:       if not a:  return a  return None

Annotations, decorators, docstrings, texts and the messages of errors stay as they are.
"""

import ast
import copy
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

_COMPARED: Final[Mapping[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_REVERSED: Final[Mapping[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.GtE,
    ast.LtE: ast.Gt,
    ast.Gt: ast.LtE,
    ast.GtE: ast.Lt,
}
_COMPUTED: Final[Mapping[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
}
_JOINED: Final[Mapping[type[ast.boolop], type[ast.boolop]]] = {ast.And: ast.Or, ast.Or: ast.And}
_UNTOUCHED: Final = frozenset({"annotation", "returns", "decorator_list", "type_params"})

_LONGEST: Final = 100

Change = Callable[[ast.AST], ast.AST]


@dataclass(frozen=True)
class Mutation:
    """The `index`-th fault that a module allows, its line, and the code before and after."""

    index: int
    line: int
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.before}  ->  {self.after}"


def find_mutations(source: str) -> list[Mutation]:
    """Return every fault that a module allows, in the order of its code.

    Examples
    --------
    >>> [str(one) for one in find_mutations("def f(a: int = 1) -> bool: return not a")]
    ['1  ->  2', 'return not a  ->  return None', 'not a  ->  a']
    """
    found = []
    for index, (node, change) in enumerate(_sites(ast.parse(source))):
        after = ast.unparse(change(copy.deepcopy(node)))
        found.append(Mutation(index, getattr(node, "lineno", 0), _short(ast.unparse(node)), _short(after)))
    return found


def mutate(source: str, mutation: Mutation) -> str:
    """Return a module with one fault.

    Examples
    --------
    >>> mutate("a = b < 3", find_mutations("a = b < 3")[0])
    'a = b <= 3'
    """
    tree = ast.parse(source)
    node, change = list(_sites(tree))[mutation.index]
    return ast.unparse(ast.fix_missing_locations(_Replace(node, change(copy.deepcopy(node))).visit(tree)))


class _Replace(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        return self.new if node is self.old else super().generic_visit(node)


def _sites(node: ast.AST) -> Iterator[tuple[ast.AST, Change]]:
    """Yield each place of a fault with what makes it, from the outside in."""
    if isinstance(node, ast.Raise):
        return
    for change in _changes(node):
        yield node, change
    for name, value in ast.iter_fields(node):
        if name in _UNTOUCHED:
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not isinstance(child, ast.JoinedStr):
                yield from _sites(child)


def _changes(node: ast.AST) -> Iterator[Change]:
    """Yield what can be changed of one node."""
    match node:
        case ast.Compare() | ast.BoolOp() | ast.BinOp() | ast.UnaryOp():
            yield from _of_operator(node)
        case ast.Constant(value=bool(value)):
            yield _with(value=not value)
        case ast.Constant(value=int(value) | float(value)):
            yield _with(value=value + 1)
        case ast.Return(value=value) if value is not None and not _is_none(value):
            yield _with(value=ast.Constant(None))
        case ast.If(test=ast.Name() | ast.Attribute() | ast.Call() | ast.NamedExpr() as test):
            yield _with(test=ast.UnaryOp(ast.Not(), test))
        case _:
            return


def _of_operator(node: ast.Compare | ast.BoolOp | ast.BinOp | ast.UnaryOp) -> Iterator[Change]:
    match node:
        case ast.Compare(ops=[op]):
            for table in (_COMPARED, _REVERSED):
                if type(op) in table:
                    yield _with(ops=[table[type(op)]()])
        case ast.BoolOp(op=op):
            yield _with(op=_JOINED[type(op)]())
        case ast.BinOp(op=op) if type(op) in _COMPUTED and not _is_text(node):
            yield _with(op=_COMPUTED[type(op)]())
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield lambda _: operand
        case _:
            return


def _with(**fields: object) -> Change:
    def change(node: ast.AST) -> ast.AST:
        for name, value in fields.items():
            setattr(node, name, value)
        return node

    return change


def _short(code: str) -> str:
    """Return the first line of a piece of code, at most so long."""
    return textwrap.shorten(code.splitlines()[0], _LONGEST, placeholder=" ...")


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _is_text(node: ast.BinOp) -> bool:
    sides = (node.left, node.right)
    return any(
        isinstance(side, ast.JoinedStr) or (isinstance(side, ast.Constant) and isinstance(side.value, str))
        for side in sides
    )
