"""Packages that only some functions need."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def extra(module: str, name: str, what: str) -> Any:
    """A module of the extra `name`. Raises `ImportError` with what to do when it is not installed."""
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ImportError(
            f"{what} needs {package}, which is not here ({error}): pip install 'stemwire[{name}]'"
        ) from None
