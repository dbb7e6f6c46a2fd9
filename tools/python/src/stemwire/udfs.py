"""UDFs that the server runs: a name it knows, with parameters. No code travels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy.typing as npt

from ._core.topics import topic

Parameter: TypeAlias = str | int | float | bool


@dataclass(frozen=True)
class UDF:
    """A UDF of the server with parameters. Lengths and positions are pixels, y before x."""

    name: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    id: str = ""
    """Under which its results come; empty: the name."""
    auxiliary: Mapping[str, npt.ArrayLike] = field(default_factory=dict, compare=False)
    """Values for each scan position, by name: nav shape first."""

    @property
    def key(self) -> str:
        return self.id or self.name

    def named(self, name: str) -> UDF:
        """The same UDF under another id, so that two of a kind can run side by side."""
        return replace(self, id=name)

    def with_data(self, **auxiliary: npt.ArrayLike) -> UDF:
        """The same UDF with values for each scan position, nav shape first."""
        return replace(self, auxiliary={**self.auxiliary, **auxiliary})

    @classmethod
    def parse(cls, text: str) -> UDF:
        """From the command line's form: `[ID=]NAME[:key=value,…]`."""
        head, _, tail = text.partition(":")
        identifier, separator, name = head.rpartition("=")
        if not name or (separator and not identifier):
            raise ValueError(f"{text!r} is not a UDF; it looks like bf=disk:cy=128,cx=128,r=30")
        parameters: dict[str, str] = {}
        for piece in filter(None, tail.split(",")):
            key, equals, value = piece.partition("=")
            if not equals and parameters:
                # Lists hold commas themselves: frames=0,17,100-109.
                last = next(reversed(parameters))
                parameters[last] += f",{piece}"
            elif not equals or not key:
                raise ValueError(f"{piece!r} in {text!r} is not a parameter; it looks like r=30")
            else:
                parameters[key] = value
        return cls(name, parameters, identifier)


UDFLike: TypeAlias = UDF | str


def udf(name: str, **parameters: Parameter | None) -> UDF:
    """Any UDF of the server by its name; parameters that are None keep the server's default."""
    return UDF(name, {key: _text(value) for key, value in parameters.items() if value is not None})


def total() -> UDF:
    """`sum`: the sum of all frames."""
    return udf("sum")


def sumsig() -> UDF:
    """The sum of each frame."""
    return udf("sumsig")


def disk(cy: float | None = None, cx: float | None = None, r: float | None = None) -> UDF:
    """Virtual bright field: the sum of each frame within a disk."""
    return udf("disk", cy=cy, cx=cx, r=r)


def ring(cy: float | None = None, cx: float | None = None, ri: float | None = None, ro: float | None = None) -> UDF:
    """Virtual annular dark field: the sum of each frame within a ring."""
    return udf("ring", cy=cy, cx=cx, ri=ri, ro=ro)


def com(
    cy: float | None = None,
    cx: float | None = None,
    r: float | None = None,
    ri: float | None = None,
    scan_rotation: float | None = None,
    flip_y: bool | None = None,
    regression: int | None = None,
) -> UDF:
    """Centre of mass of each frame, with the fields derived from it; angles in degrees."""
    return udf("com", cy=cy, cx=cx, r=r, ri=ri, scan_rotation=scan_rotation, flip_y=flip_y, regression=regression)


def pick(frames: int | Iterable[int] | str) -> UDF:
    """Single frames, by flat scan position."""
    if isinstance(frames, (int, str)):
        return udf("pick", frames=str(frames))
    return udf("pick", frames=",".join(str(int(each)) for each in frames))


def as_udfs(udfs: UDFLike | Iterable[UDFLike] | Mapping[str, UDFLike]) -> tuple[UDF, ...]:
    """One UDF, several, or several under ids of one's choice; ids have to differ."""
    found: list[UDF]
    if isinstance(udfs, (UDF, str)):
        found = [_one(udfs)]
    elif isinstance(udfs, Mapping):
        found = [_one(each).named(name) for name, each in udfs.items()]
    else:
        found = [_one(each) for each in udfs]
    if not found:
        raise ValueError("a run needs a UDF at least")
    seen: set[str] = set()
    for each in found:
        topic(each.key)
        if each.key in seen:
            raise ValueError(f"two UDFs with the id {each.key!r}: give one of them another, such as .named('bf')")
        seen.add(each.key)
    return tuple(found)


def _one(each: UDFLike) -> UDF:
    return UDF.parse(each) if isinstance(each, str) else each


def _text(value: Parameter) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)
