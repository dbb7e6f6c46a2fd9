"""Results of UDFs as numpy arrays."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .extras import extra
from .status import Accounting, End, Start

if TYPE_CHECKING:
    import xarray

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Manifest:
    """What a final result was made of, and by whom."""

    frames_expected: int
    frames_received: int
    frames_processed: int
    frames_failed: int
    missing_ranges: tuple[range, ...]
    """Positions that are not in it, the first of them."""
    partitions_redone: int
    """Partitions that were worked on more than once."""
    redone: tuple[tuple[int, int, str], ...]
    """The first of them: number, attempts, why."""
    workers: Mapping[str, int]
    """Who took part, and how many partitions each contributed."""
    digest: str
    """xxh3-128 of the array's bytes, in hexadecimal: the same for the same bits."""


@dataclass(frozen=True, eq=False)
class Channel:
    """The state of one result of a UDF."""

    acquisition: uuid.UUID
    generation: int
    run: str
    udf: str
    """The UDF's id in its run."""
    name: str
    version: int
    """Grows with each change in this run and acquisition."""
    kind: str
    """nav (one value a scan position), sig (one a detector pixel) or single."""
    data: npt.NDArray[Any]
    """Read-only; nav results begin with the scan's axes, slow axis first. Scan positions without a frame hold 0 in
    integer arrays and NaN in floating-point arrays."""
    valid: Mask
    """Shape of the scan: True where the run has processed the frame."""
    positions_processed: int
    positions_expected: int
    final: bool
    """No more updates will come for this acquisition."""
    nav_shape: tuple[int, ...]
    sig_shape: tuple[int, ...]
    manifest: Manifest | None = None
    """With a final state: what it was made of."""

    @property
    def coverage(self) -> float:
        """Share of the scan positions that are in it, 0 … 1."""
        return self.positions_processed / self.positions_expected if self.positions_expected else 0.0

    @property
    def masked(self) -> np.ma.MaskedArray[Any, Any]:
        """A nav result with the positions masked that are not valid; others as they are, masked until anything came."""
        if self.kind == "nav":
            extra = self.data.ndim - self.valid.ndim
            mask = np.broadcast_to(~self.valid.reshape(self.valid.shape + (1,) * extra), self.data.shape)
        else:
            mask = np.broadcast_to(np.asarray(self.positions_processed == 0), self.data.shape)
        return np.ma.MaskedArray(self.data, mask=mask)

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of the axes: scan_y, scan_x, y, x, and further ones by number."""
        ndim = self.data.ndim
        if self.kind == "nav":
            nav = _nav_dims(len(self.nav_shape))
            return nav + _extra_dims(ndim - len(nav))
        if self.kind == "sig" and ndim >= 2:
            return ("y", "x", *_extra_dims(ndim - 2))
        return _extra_dims(ndim)

    def to_xarray(self) -> xarray.DataArray:
        """As an `xarray.DataArray`; nav results carry `valid` as a coordinate. Needs the extra `xarray`."""
        made = extra("xarray", "xarray", "to_xarray()")
        coords = {"valid": (_nav_dims(len(self.nav_shape)), self.valid)} if self.kind == "nav" else {}
        attributes = {
            "acquisition": str(self.acquisition),
            "run": self.run,
            "udf": self.udf,
            "channel": self.name,
            "coverage": self.coverage,
            "final": int(self.final),
        }
        array: xarray.DataArray = made.DataArray(
            self.data, dims=self.dims, coords=coords, attrs=attributes, name=f"{self.udf}.{self.name}"
        )
        return array

    def save(self, path: str | Path) -> Path:
        """Writes `data` as a `.npy` file, little-endian, without pickle."""
        path = Path(path)
        data = self.data.astype(self.data.dtype.newbyteorder("<"), copy=False)
        with path.open("wb") as file:
            np.lib.format.write_array(file, np.ascontiguousarray(data), allow_pickle=False)
        return path

    def __repr__(self) -> str:
        state = "final" if self.final else f"{self.coverage:.0%}"
        return f"<Channel {self.udf}.{self.name} {self.kind} {self.data.dtype}{list(self.data.shape)} {state}>"


def _nav_dims(count: int) -> tuple[str, ...]:
    return ("scan_y", "scan_x") if count == 2 else tuple(f"scan_{axis}" for axis in range(count))


def _extra_dims(count: int) -> tuple[str, ...]:
    return tuple(f"dim_{axis}" for axis in range(count))


class Results(Mapping[str, Channel]):
    """The results of a run on one acquisition, at one moment.

    `results["bf"]` is the result of the UDF with the id `bf` when it has only one channel (or one called `intensity`);
    `results["com.magnitude"]` is one of several.
    """

    def __init__(
        self,
        run: str,
        channels: Mapping[tuple[str, str], Channel],
        start: Start | None = None,
        end: End | None = None,
    ) -> None:
        self.run = run
        self.start = start
        self.end = end
        self._channels = {f"{udf}.{name}": channel for (udf, name), channel in channels.items()}

    @cached_property
    def _by_udf(self) -> dict[str, list[Channel]]:
        found: dict[str, list[Channel]] = {}
        for channel in self._channels.values():
            found.setdefault(channel.udf, []).append(channel)
        return found

    def __getitem__(self, key: str) -> Channel:
        exact = self._channels.get(key)
        if exact is not None:
            return exact
        of_udf = self._by_udf.get(key, [])
        if len(of_udf) == 1:
            return of_udf[0]
        main = [each for each in of_udf if each.name == "intensity"]
        if main:
            return main[0]
        choice = ", ".join(self._channels) or "nothing yet"
        raise KeyError(f"{key!r}: there is {choice}")

    def __contains__(self, key: object) -> bool:
        try:
            return isinstance(key, str) and self[key] is not None
        except KeyError:
            return False

    def __iter__(self) -> Iterator[str]:
        return iter(self._channels)

    def __len__(self) -> int:
        return len(self._channels)

    @property
    def acquisition(self) -> uuid.UUID | None:
        for known in (self.start, self.end, *self._channels.values()):
            if known is not None:
                return known.acquisition
        return None

    @property
    def accounting(self) -> Accounting | None:
        """Where the acquisition's frames went; None while it runs."""
        return None if self.end is None else self.end.accounting

    @property
    def valid(self) -> Mask | None:
        """Scan positions that are in every channel; None while there is no result."""
        masks = [each.valid for each in self._channels.values()]
        return np.logical_and.reduce(masks) if masks else None

    @property
    def coverage(self) -> float:
        """Share of the scan positions that are in every channel, 0 … 1."""
        return min((each.coverage for each in self._channels.values()), default=0.0)

    @property
    def final(self) -> bool:
        """The acquisition has ended and no channel will change any more."""
        if self.end is None or (self.end.accounting.placed and not self._channels):
            return False
        named = {f"{each.udf}.{each.channel}" for each in self.end.results if each.run == self.run}
        return named <= set(self._channels) and all(each.final for each in self._channels.values())

    @property
    def complete(self) -> bool:
        """Every scan position has its frame, and every frame is in every channel."""
        return self.final and self.accounting is not None and self.accounting.complete and self.coverage == 1.0

    def to_xarray(self) -> xarray.Dataset:
        """As an `xarray.Dataset` with a variable for each channel. Needs the extra `xarray`."""
        made = extra("xarray", "xarray", "to_xarray()")

        arrays = {}
        for key, channel in self._channels.items():
            array = channel.to_xarray().drop_vars("valid", errors="ignore")
            own = {dim: f"{key}.{dim}" for dim in array.dims if str(dim).startswith("dim_")}
            arrays[key] = array.rename(own)
        data: xarray.Dataset = made.Dataset(arrays)
        valid = self.valid
        if valid is not None and any(each.kind == "nav" for each in self._channels.values()):
            data = data.assign_coords(valid=(_nav_dims(valid.ndim), valid))
        if self.accounting is not None:
            counts = self.accounting
            data.attrs.update(expected=counts.expected, placed=counts.placed, missing=counts.missing)
            data.attrs.update(rejected=counts.rejected)
        return data

    def save(self, folder: str | Path) -> list[Path]:
        """Writes `<id>.<channel>.npy` for each channel into `folder`, as `stemwire run` does."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        return [channel.save(folder / f"{key}.npy") for key, channel in self._channels.items()]

    def __repr__(self) -> str:
        state = "final" if self.final else f"{self.coverage:.0%}"
        return f"<Results of run {self.run!r}: {', '.join(self._channels) or 'nothing yet'}; {state}>"
