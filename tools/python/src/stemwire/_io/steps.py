"""One step of a stream, for the iterators of both faces."""

from __future__ import annotations

from typing import Protocol, TypeVar

Item = TypeVar("Item")
ItemOut_co = TypeVar("ItemOut_co", covariant=True)


class Stream(Protocol[ItemOut_co]):
    async def next(self) -> ItemOut_co | None:
        """The next item; None behind the last."""

    def leave(self) -> None:
        """No more items are wanted."""


async def step(stream: Stream[Item]) -> Item | None:
    """The next item; the stream is left behind the last one, and when it fails."""
    try:
        item = await stream.next()
    except BaseException:
        stream.leave()
        raise
    if item is None:
        stream.leave()
    return item


def or_stop(item: Item | None, stop: type[Exception]) -> Item:
    if item is None:
        raise stop
    return item
