"""A file that several workers write into, each its own frames."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np


class SharedFile:
    """A `.npy` file for one acquisition, made once by whichever worker comes first; the others find it.

    The file is known under a second, hidden name that tells the acquisition, as long as workers are at it. Needs a file
    system with hard links that all workers share.
    """

    def __init__(self, path: str | os.PathLike[str], acquisition: str, shape: tuple[int, ...], dtype: Any) -> None:
        target = Path(path)
        self._mark = target.with_name(f".{target.name}.{acquisition}")
        own = target.with_name(f".{target.name}.{acquisition}.{os.getpid()}")
        try:
            if not self._mark.exists():
                np.lib.format.open_memmap(own, mode="w+", dtype=dtype, shape=shape)
                with suppress(FileExistsError):
                    os.link(own, self._mark)
            own.unlink(missing_ok=True)
            if not (target.exists() and target.samefile(self._mark)):
                os.link(self._mark, own)
                own.replace(target)
        finally:
            own.unlink(missing_ok=True)

    def release(self) -> None:
        """No worker will look for the file any more."""
        self._mark.unlink(missing_ok=True)
