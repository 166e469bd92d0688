"""What a user annotates with: every type in a public signature can be imported from a public module."""

import ast
import inspect
import sys
from collections.abc import Iterator
from typing import Any, TypeVar

import pytest
from test_house import PACKAGE

import voucherify_exports
from voucherify_exports import sandbox, tables

PUBLIC_NAMES = {*voucherify_exports.__all__, *tables.__all__, *sandbox.__all__}


def own_names(module: Any) -> set[str]:
    """The names in a module that this package defines: imported from it, or assigned in the module."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        match node:
            case ast.ImportFrom(level=level, module=source) if level or (source or "").startswith(PACKAGE):
                found |= {alias.asname or alias.name for alias in node.names}
            case ast.ClassDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
                found.add(name)
    return found


def annotated(value: Any, *, init: bool) -> Iterator[str]:
    """The names in the annotations of a function, or of the public part of a class."""
    (node,) = ast.parse(inspect.cleandoc("\n" + inspect.getsource(value))).body
    for inner in ast.walk(node):
        match inner:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if not name.startswith("_") or (
                init and name == "__init__"
            ):
                arguments = [*inner.args.posonlyargs, *inner.args.args, *inner.args.kwonlyargs]
                arguments += [each for each in (inner.args.vararg, inner.args.kwarg) if each]
                for annotation in (*(each.annotation for each in arguments), inner.returns):
                    yield from names_in(annotation)
            case ast.AnnAssign(target=ast.Name(id=name)) if not name.startswith("_"):
                yield from names_in(inner.annotation)


def names_in(annotation: ast.expr | None) -> Iterator[str]:
    for node in ast.walk(annotation) if annotation else ():
        match node:
            case ast.Name(id=name):
                yield name
            case ast.Constant(value=str(text)) if text.isidentifier():
                yield text


PUBLIC_VALUES = [
    pytest.param(value, id=f"{module.__name__}.{name}")
    for module in (voucherify_exports, tables, sandbox)
    for name in module.__all__
    if inspect.isclass(value := getattr(module, name)) or inspect.isfunction(value)
]


@pytest.mark.parametrize("value", PUBLIC_VALUES)
def test_every_type_is_public(value: Any) -> None:
    """No public signature names a type that only a private module has."""
    constructed = (
        next(cls for cls in inspect.getmro(value) if "__init__" in vars(cls))
        if inspect.isclass(value)
        else value
    )
    for cls in inspect.getmro(value) if inspect.isclass(value) else [value]:
        if not (cls.__module__ or "").startswith(PACKAGE):
            continue
        module = sys.modules[cls.__module__]
        wanted = {name for name in annotated(cls, init=cls is constructed) if name in own_names(module)}
        variables = {name for name in wanted if isinstance(getattr(module, name, None), TypeVar)}
        assert wanted - variables <= PUBLIC_NAMES
