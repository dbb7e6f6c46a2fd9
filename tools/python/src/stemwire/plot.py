"""Live pictures with matplotlib (extra `plot`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .extras import extra
from .results import Channel, Results

_DIMENSIONS = 2


class LivePlot:
    """Pictures of results that follow them, in a notebook or in a window.

    >>> plot = LivePlot("bf", "sum")
    >>> for part in scan.updates(max_rate=5):
    ...     plot.update(part)

    Positions without a frame are left blank. Complex and vector results are shown by their magnitude. Rows are in the
    detector's order, top first.
    """

    def __init__(self, *channels: str, log: bool | Sequence[str] = (), cmap: str = "viridis") -> None:
        """Shows `channels` (all that have pictures, when none is given); `log`: those with a logarithmic scale."""
        extra("matplotlib", "plot", "LivePlot")
        self._channels = channels
        self._log = log
        self._cmap = cmap
        self._images: dict[str, Any] = {}
        self._display: Any = None
        self.figure: Any = None

    def update(self, results: Results) -> None:
        """Shows the state of `results`."""
        shown = self._shown(results)
        if not shown:
            return
        if list(shown) != list(self._images):
            self._layout(shown)
        for key, channel in shown.items():
            data = picture(channel)
            if self._is_log(key):
                data = np.ma.log10(np.ma.masked_less_equal(data, 0))
            image, axes = self._images[key]
            image.set_data(data)
            low, high = _limits(data)
            image.set_clim(low, high)
            axes.set_title(f"{key}{'' if channel.final else f' {channel.coverage:.0%}'}")
        self._draw()

    def close(self) -> None:
        if self.figure is not None:
            from matplotlib import pyplot

            pyplot.close(self.figure)
            self.figure = None
            self._images = {}

    def _shown(self, results: Results) -> dict[str, Channel]:
        keys = self._channels or tuple(results)
        found = {key: results[key] for key in keys if key in results}
        return {key: channel for key, channel in found.items() if picture(channel).ndim == _DIMENSIONS}

    def _is_log(self, key: str) -> bool:
        return self._log if isinstance(self._log, bool) else key in self._log

    def _layout(self, shown: dict[str, Channel]) -> None:
        from matplotlib import pyplot

        if self.figure is None:
            self.figure = pyplot.figure(figsize=(4 * min(len(shown), 4), 4 * -(-len(shown) // 4)), layout="constrained")
        self.figure.clear()
        self._images = {}
        columns = min(len(shown), 4)
        for index, (key, channel) in enumerate(shown.items(), 1):
            axes = self.figure.add_subplot(-(-len(shown) // columns), columns, index)
            image = axes.imshow(picture(channel).astype(float), cmap=self._cmap, interpolation="nearest")
            names = channel.dims[:_DIMENSIONS]
            axes.set_ylabel(names[0])
            axes.set_xlabel(names[1])
            self._images[key] = (image, axes)

    def _draw(self) -> None:
        if _in_notebook():
            from IPython.display import display

            if self._display is None:
                from matplotlib import pyplot

                self._display = display(self.figure, display_id=True)  # type: ignore[no-untyped-call,unused-ignore]
                # Else it would be shown once more behind the cell.
                pyplot.close(self.figure)
            else:
                self._display.update(self.figure)
            return
        canvas = self.figure.canvas
        canvas.draw_idle()
        canvas.flush_events()


def picture(channel: Channel) -> np.ma.MaskedArray[Any, Any]:
    """What is shown of a result: two axes where there are two, the magnitude of what has more or is complex."""
    data: np.ma.MaskedArray[Any, Any] = channel.masked
    if channel.kind == "nav" and data.ndim == len(channel.nav_shape) + 1 and data.shape[-1] == 2:
        data = np.ma.sqrt(np.ma.sum(np.ma.abs(data) ** 2, axis=-1))
    if np.iscomplexobj(data):
        data = np.ma.abs(data)
    return np.ma.masked_invalid(data.astype(float))


def _limits(data: npt.NDArray[Any]) -> tuple[float, float]:
    """Range of the values, without the outermost thousandth, so that a hot pixel does not darken all."""
    values = np.ma.compressed(data)
    if values.size == 0:
        return 0.0, 1.0
    low, high = np.quantile(values, (0.001, 0.999))
    return (float(low), float(high)) if high > low else (float(low) - 0.5, float(low) + 0.5)


def _in_notebook() -> bool:
    """In a Jupyter kernel, where pictures are shown by display."""
    try:
        from IPython.core.getipython import get_ipython
    except ImportError:
        return False
    shell = get_ipython()
    return shell is not None and hasattr(shell, "kernel")
