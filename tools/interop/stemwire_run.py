"""Runs `stemwire run` and judges what it writes."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processes import ProgramError
from report import CheckFailed, expect, expect_equal_arrays

RUN_SECONDS = 30
END_REASON = "complete"


@dataclass(frozen=True)
class RunOutput:
    sum: NDArray[Any]
    sumsig: NDArray[Any]
    record: dict[str, Any]
    """run.json"""


def stemwire_run(binary: Path, source: str, folder: Path, *options: str) -> RunOutput:
    """Results of `stemwire run SOURCE --udf sum --udf sumsig` with further options, written into `folder`."""
    command = [str(binary), "run", source, "--udf", "sum", "--udf", "sumsig"]
    command += ["--output", str(folder), "--timeout", str(RUN_SECONDS), *options]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=RUN_SECONDS + 15
        )
    except subprocess.TimeoutExpired as late:
        raise ProgramError(f"stemwire run {source} did not end: {late.stderr!r}") from late
    if done.returncode != 0:
        said = "\n".join(text.strip()[-600:] for text in (done.stderr, done.stdout) if text.strip())
        raise CheckFailed(f"stemwire run {source} ended with exit code {done.returncode}: {said}")
    return RunOutput(
        sum=_load(folder / "sum.intensity.npy"),
        sumsig=_load(folder / "sumsig.intensity.npy"),
        record=json.loads((folder / "run.json").read_text(encoding="utf-8")),
    )


def expect_complete_run(
    output: RunOutput,
    *,
    nav_shape: tuple[int, int],
    sum: NDArray[Any],
    sumsig: NDArray[Any],
    dtype: np.dtype[Any],
    header_key: str | None,
) -> None:
    """Exact results, and a run.json that accounts for every frame."""
    expect_equal_arrays("sum.intensity.npy", output.sum, sum)
    expect_equal_arrays("sumsig.intensity.npy", output.sumsig, sumsig)
    record = output.record
    frames = nav_shape[0] * nav_shape[1]
    wanted: dict[str, Any] = {
        "nav_shape": list(nav_shape),
        "sig_shape": list(sum.shape),
        "dtype": dtype.name,
        "frames_expected": frames,
        "frames_placed": frames,
        "frames_missing": 0,
        "frames_duplicate": 0,
        "frames_rejected": 0,
        "missing_ranges": [],
        "end_reason": END_REASON,
    }
    for key, value in wanted.items():
        expect(f"{key} in run.json", record.get(key), value)
    for key in ("seconds", "frames_per_second"):
        value = record.get(key)
        if not isinstance(value, (int, float)) or value <= 0:
            raise CheckFailed(f"{key} in run.json is {value!r}, not a positive number")
    if not record.get("udfs"):
        raise CheckFailed("udfs in run.json names no UDF")
    if header_key is not None and not _has_key(record, header_key):
        raise CheckFailed(f"run.json lacks the acquisition header's “{header_key}”")


def _has_key(value: Any, key: str) -> bool:
    """Whether `key` is a key, or an entry's name, anywhere in a JSON value."""
    if isinstance(value, dict):
        return key in value or any(_has_key(inner, key) for inner in value.values())
    if isinstance(value, list):
        return any(_has_key(inner, key) for inner in value)
    return bool(value == key)


def _load(path: Path) -> NDArray[Any]:
    if not path.exists():
        raise CheckFailed(f"{path.name} was not written")
    array: NDArray[Any] = np.load(path, allow_pickle=False)
    if array.dtype.byteorder == ">":
        raise CheckFailed(f"{path.name} is big-endian")
    return array
