"""Functions of the caller: they are called, and what they return is not awaited."""

import inspect
from functools import partial


def check_callback(name: str, callback: object) -> None:
    """Raise `TypeError`, which names the argument, for what would not run when it is called."""
    function = callback
    while isinstance(function, partial):
        function = function.func
    if not callable(function):
        raise TypeError(f"{name} must be a function, not {type(callback).__name__}")
    for called in (function, type(function).__call__):  # the second is that of an object of the caller
        if inspect.iscoroutinefunction(called) or inspect.isasyncgenfunction(called):
            raise _async_error(name)
        if inspect.isgeneratorfunction(called):
            raise TypeError(f"{name} must be a plain function: a generator would never run")


def check_returned(name: str, returned: object) -> None:
    """Raise `TypeError` if a callback returned a coroutine, as a lambda around an async function does."""
    if inspect.iscoroutine(returned):
        returned.close()  # else Python warns that it was never awaited
        raise _async_error(name)


def _async_error(name: str) -> TypeError:
    return TypeError(f"{name} must be a plain function: an async one would never run")
