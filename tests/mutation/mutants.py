"""The mutants of a module: changes of its syntax tree, each of which some test should notice.

Annotations, decorators and text are left alone, so neither docstrings nor messages are changed.
"""

import ast
from collections import Counter
from collections.abc import Callable, Iterator
from copy import copy
from functools import partial
from typing import TypeVar

from attrs import evolve, frozen

SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
}
SWAPPED_CALLS = {"min": "max", "max": "min", "any": "all", "all": "any"}
COPIES = {"list", "sorted", "tuple", "set"}

_BLOCKS = ("body", "orelse", "finalbody")
_NOT_IN_HEADER = {*_BLOCKS, "handlers", "cases", "returns", "decorator_list", "bases", "keywords"}
_COMPOUND = ast.If | ast.While | ast.For | ast.AsyncFor | ast.With | ast.AsyncWith
_FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef

Node = TypeVar("Node", bound=ast.AST)
Item = TypeVar("Item")
Edit = Callable[[ast.AST], None]
"""Puts a node where another one is."""


@frozen
class Mutant:
    """A change of one statement: of all of it, or of something in its first line.

    `lines` are those of the statement without its blocks. They are empty if it runs only on import.
    """

    function: str  # `quota.Quota.poll_at`, for instance; `quota` outside of functions and classes
    before: str
    after: str
    lines: frozenset[int]
    nth: int  # among those of a function that read the same
    apply: Callable[[], None]  # changes the tree

    @property
    def module(self) -> str:
        """The name of the module, without its package."""
        return self.function.partition(".")[0]


def mutants(tree: ast.Module, name: str) -> Iterator[Mutant]:
    """All mutants of a module, without those that have the same effect as another one."""
    read_the_same = Counter[tuple[str, str, str]]()
    for mutant in _of_block(tree, name, is_run=False):
        key = mutant.function, mutant.before, mutant.after
        read_the_same[key] += 1
        yield evolve(mutant, nth=read_the_same[key])


def _of_block(owner: ast.AST, name: str, *, is_run: bool) -> Iterator[Mutant]:
    for block in (getattr(owner, field, []) for field in _BLOCKS):
        for index, statement in enumerate(block):
            if (
                ast.unparse(statement) == "return None"
                and isinstance(owner, _FUNCTION)
                and statement is block[-1]
            ):
                continue  # a function without it returns the same
            yield from _of_statement(statement, partial(block.__setitem__, index), name, is_run=is_run)
            if isinstance(statement, _FUNCTION | ast.ClassDef):
                if any(ast.unparse(base) == "Protocol" for base in getattr(statement, "bases", ())):
                    continue
                inner = f"{name}.{statement.name}"
                yield from _of_block(statement, inner, is_run=is_run or isinstance(statement, _FUNCTION))
                continue
            yield from _of_block(statement, name, is_run=is_run)
            for part in (*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
                yield from _of_block(part, name, is_run=is_run)


def _of_statement(statement: ast.stmt, replace: Edit, name: str, *, is_run: bool) -> Iterator[Mutant]:
    before, texts = _first_line(statement), set[str]()
    header = list(_expressions(statement, _NOT_IN_HEADER))
    if not isinstance(statement, _COMPOUND):
        last = statement.end_lineno or statement.lineno
    else:
        last = max(node.end_lineno or node.lineno for node, _ in header)
    runs = is_run and not isinstance(statement, _FUNCTION)  # the defaults of arguments
    lines = frozenset(range(statement.lineno, last + 1)) if runs else frozenset[int]()
    changes: list[tuple[Edit, ast.AST, ast.AST]] = [
        (replace, statement, other) for other in _other_statements(statement)
    ]
    changes += [(edit, node, other) for node, edit in header for other in _other_expressions(node)]
    if isinstance(statement, ast.If | ast.While):
        test = partial(setattr, statement, "test")
        changes += [(test, statement.test, ast.Constant(forced)) for forced in (True, False)]
    for edit, node, other in changes:
        if not hasattr(other, "lineno"):
            ast.copy_location(other, node)
        ast.fix_missing_locations(other)
        edit(other)
        after = _first_line(other if node is statement else statement)
        edit(node)
        target, _, value = after.partition(" = ")
        if after not in texts | {before} and target != value:
            texts.add(after)
            yield Mutant(name, before, after, lines, 1, partial(edit, other))


def _first_line(node: ast.AST) -> str:
    return next(line for line in ast.unparse(node).splitlines() if not line.startswith("@"))


def _expressions(owner: ast.AST, skipped: set[str]) -> Iterator[tuple[ast.expr, Edit]]:
    """Each expression below a node, with what replaces it."""
    for field, value in ast.iter_fields(owner):
        nodes = value if isinstance(value, list) else [value]
        for index, node in enumerate(nodes):
            if field in skipped | {"annotation"} or not isinstance(node, ast.AST):
                continue
            if isinstance(node, ast.expr) and not isinstance(node, ast.JoinedStr):
                is_list = isinstance(value, list)
                yield node, partial(value.__setitem__, index) if is_list else partial(setattr, owner, field)
            if not isinstance(node, ast.JoinedStr | ast.stmt):
                yield from _expressions(node, set())


def _other_statements(node: ast.stmt) -> Iterator[ast.stmt]:
    """What a statement becomes: nothing, or an assignment of less."""
    match node:
        case ast.AugAssign(op=operator):
            if type(operator) in SWAPPED:
                yield _changed(node, op=SWAPPED[type(operator)]())
            yield ast.Pass()
        case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)):
            for index, target in enumerate(targets):
                if _is_stored(target):
                    left, right = _without(targets, index), _without(values, index)
                    if len(left) == 1:
                        yield ast.Assign(left, right[0])
                    else:
                        yield ast.Assign([ast.Tuple(left, ast.Store())], ast.Tuple(right, ast.Load()))
        case ast.Assign(targets=targets):
            if all(map(_is_stored, targets)):
                yield ast.Pass()
            for index, target in enumerate(targets):
                if len(targets) > 1 and _is_stored(target):
                    yield _changed(node, targets=_without(targets, index))
        case ast.AnnAssign(target=target) if _is_stored(target):
            yield ast.Pass()
        case ast.Expr(value=ast.Call() | ast.Await()) | ast.Delete() | ast.Raise():
            yield ast.Pass()
        case ast.Continue() | ast.Break() | ast.Return():
            yield ast.Pass()
        case _:
            pass


def _is_stored(target: ast.expr) -> bool:
    return isinstance(target, ast.Attribute | ast.Subscript)


def _other_expressions(node: ast.expr) -> Iterator[ast.expr]:
    """What an expression becomes: its opposite, a part of it, or a value beside it."""
    match node:
        case ast.Compare(ops=operators):
            for index, operator in enumerate(operators):
                other = SWAPPED[type(operator)]()
                yield _changed(node, ops=[*operators[:index], other, *operators[index + 1 :]])
        case ast.BinOp(op=ast.BitOr(), left=left, right=right):  # the classes of `isinstance`
            yield from (left, right)
        case ast.BinOp(op=operator) if type(operator) in SWAPPED:
            yield _changed(node, op=SWAPPED[type(operator)]())
        case ast.BoolOp(op=operator, values=values):
            yield _changed(node, op=SWAPPED[type(operator)]())
            for index in range(len(values)):
                rest = _without(values, index)
                yield rest[0] if len(rest) == 1 else _changed(node, values=rest)
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield operand
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield ast.Constant(value + 1)
        case ast.Attribute(value=ast.Name("math"), attr="inf"):
            yield ast.Constant(0.0)
        case ast.IfExp(body=body, orelse=orelse):
            yield from (body, orelse)
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            for index, part in enumerate(node.generators):
                if part.ifs:
                    everything = _changed(part, ifs=[])
                    parts = [*node.generators[:index], everything, *node.generators[index + 1 :]]
                    yield _changed(node, generators=parts)
        case ast.Call(func=ast.Name(function), args=args):
            if function in SWAPPED_CALLS:
                yield _changed(node, func=ast.Name(SWAPPED_CALLS[function], ast.Load()))
            if function in COPIES and len(args) == 1 and not node.keywords:
                yield args[0]
            if function in {"min", "max"} and len(args) > 1:
                for index in range(len(args)):
                    rest = _without(args, index)
                    is_alone = len(rest) == 1 and not isinstance(rest[0], ast.Starred)
                    yield rest[0] if is_alone else _changed(node, args=rest)
        case _:
            pass


def _changed(node: Node, **fields: object) -> Node:
    other = copy(node)
    for field, value in fields.items():
        setattr(other, field, value)
    return other


def _without(items: list[Item], index: int) -> list[Item]:
    return [*items[:index], *items[index + 1 :]]
