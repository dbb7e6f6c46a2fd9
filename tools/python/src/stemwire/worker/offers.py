"""UDFs that a worker has: named on its command line, imported from the Python path, never sent."""

from __future__ import annotations

import importlib
import inspect
import json
import re
import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .builtin import BUILT_IN
from .plans import Meta, PlanError
from .udf import UDF

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")
_SPEC = re.compile(r"(?:(?P<name>[^=:]+)=)?(?P<module>[A-Za-z_][\w.]*):(?P<path>[A-Za-z_][\w.]*)")


class OfferError(ValueError):
    """A UDF that cannot be offered."""


@dataclass(frozen=True)
class Offer:
    """A UDF by the name that requests use."""

    name: str
    make: Callable[..., Any]
    """A class, or a function that makes a UDF: a `stemwire.worker.UDF`, or one of LiberTEM's."""
    version: int
    is_built_in: bool = False

    @classmethod
    def named(cls, spec: str) -> Offer:
        """From `[NAME=]MODULE:ATTRIBUTE`, such as `mine.masks:Annulus`, `com=libertem.udf.com:CoMUDF.with_params`."""
        match = _SPEC.fullmatch(spec)
        if match is None:
            raise OfferError(f"{spec!r} is no UDF: write [NAME=]MODULE:CLASS, such as com=libertem.udf.com:CoMUDF")
        try:
            module = importlib.import_module(match["module"])
        except ImportError as error:
            raise OfferError(f"{spec}: {error}. Is the module's folder on PYTHONPATH, or given by --path?") from error
        found: Any = module
        for part in match["path"].split("."):
            try:
                found = getattr(found, part)
            except AttributeError:
                raise OfferError(f"{spec}: {found!r} has no {part!r}") from None
        return cls.of(found, match["name"])

    @classmethod
    def of(cls, make: Callable[..., Any], name: str | None = None) -> Offer:
        """A class or function of this process. Without a name, it is its own."""
        if not callable(make):
            raise OfferError(f"{make!r} is neither a class nor a function")
        named = name or str(getattr(make, "name", None) or getattr(make, "__name__", ""))
        if _NAME.fullmatch(named) is None:
            raise OfferError(f"the UDF name {named!r} is not made of letters, digits, '_', '-' and '.'")
        return cls(named, make, _version(make))


def built_in_offers() -> list[Offer]:
    return [Offer(name, make, make.version or 1, True) for name, make in BUILT_IN.items()]


def _version(make: Callable[..., Any]) -> int:
    """Other code is another version, so that workers with other code do not share a run."""
    declared = getattr(make, "version", None)
    if isinstance(declared, int):
        return declared
    owner = inspect.getmodule(make)
    source = getattr(owner, "__file__", None)
    code = Path(source).read_bytes() if source and Path(source).is_file() else b""
    package = sys.modules.get(((owner and owner.__name__) or "").partition(".")[0])
    code += str(getattr(package, "__version__", "")).encode()
    return zlib.crc32(code) or 1


def make_udf(offer: Offer, parameters: Mapping[str, str], meta: Meta) -> Any:
    """A UDF with its parameters. Raises `PlanError` that tells which there are."""
    signature = _signature(offer.make)
    values = {name: _value(text, signature.get(name)) for name, text in parameters.items()}
    takes_all = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in signature.values())
    known = {name: each for name, each in signature.items() if each.kind in _BY_NAME}
    unknown = sorted(set(values) - set(known))
    if unknown and not takes_all:
        there = ", ".join(f"{name}{_default(each)}" for name, each in known.items() if name != "meta")
        raise PlanError(f"{offer.name} has no parameter {', '.join(unknown)}; it has {there or 'none'}")
    if "meta" in known and "meta" not in values:
        values["meta"] = meta
    absent = [name for name, each in known.items() if each.default is inspect.Parameter.empty and name not in values]
    if absent:
        raise PlanError(f"{offer.name} needs the parameter {', '.join(absent)}")
    try:
        return offer.make(**values)
    except Exception as error:
        raise PlanError(
            f"{offer.name} cannot be made with these parameters: {type(error).__name__}: {error}"
        ) from error


_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def _signature(make: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(make).parameters
    except (TypeError, ValueError):
        return {}


def _value(text: str, parameter: inspect.Parameter | None) -> Any:
    """Words of a request as Python values: JSON where it is such, text where not, or where text is expected."""
    if parameter is not None and (isinstance(parameter.default, str) or parameter.annotation in (str, "str")):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _default(parameter: inspect.Parameter) -> str:
    return "" if parameter.default is inspect.Parameter.empty else f" [{parameter.default!r}]"


def check_names(offers: Sequence[Offer]) -> dict[str, Offer]:
    """By name. What is offered by the user takes the place of a built-in UDF only under another name."""
    known: dict[str, Offer] = {}
    for offer in offers:
        if offer.name in known:
            raise OfferError(f"two UDFs with the name {offer.name!r}: name one of them, as in other=MODULE:CLASS")
        known[offer.name] = offer
    return known


__all__ = ["UDF", "Offer", "OfferError", "built_in_offers", "check_names", "make_udf"]
