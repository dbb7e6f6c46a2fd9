"""What a worker's session wants done. Serials name plans, items and merge tasks in this process, whatever the server
does with its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple, TypeAlias

from .._wire import stemwire_pb2 as pb

Payload: TypeAlias = Sequence[Any]
"""The payload parts of a message that is to be sent: anything with a buffer."""


class ItemID(NamedTuple):
    """One attempt at one partition of one plan, as the server names it."""

    plan: int
    partition: int
    attempt: int

    @classmethod
    def of(cls, item: pb.WorkItem) -> ItemID:
        return cls(item.plan, item.partition, item.attempt)

    @property
    def wire(self) -> pb.WorkItem:
        return pb.WorkItem(plan=self.plan, partition=self.partition, attempt=self.attempt)


@dataclass(frozen=True)
class Connect:
    """Make a connection; the present one is to be closed first."""


@dataclass(frozen=True)
class Map:
    """Map the server's memory for frames, if that can be done, and answer by `mapped`."""

    memory: pb.FrameMemory


@dataclass(frozen=True)
class Send:
    message: pb.WorkMessage
    payload: Payload = ()


@dataclass(frozen=True)
class Prepare:
    """Answer by `planned`. The payload parts of the present message are the plan's arrays."""

    plan: int
    message: pb.WorkPlan


@dataclass(frozen=True)
class Forget:
    """No more items of the plan will begin. `is_over`: its run is done, not only this connection."""

    plan: int
    is_over: bool


@dataclass(frozen=True)
class Begin:
    item: int
    partition: int
    plan: int


@dataclass(frozen=True)
class Take:
    """The payload part of the present message is frames of the item, or they lie in the server's memory."""

    item: int
    tile: pb.Tile
    places: Sequence[pb.FramesInMemory] = ()


@dataclass(frozen=True)
class Close:
    """No more frames will come: answer by `finished` or `failed`."""

    item: int


@dataclass(frozen=True)
class Drop:
    """Nobody wants the item any more."""

    item: int


@dataclass(frozen=True)
class Merge:
    """Answer by `merged`. The payload parts of the present message are the task's arrays."""

    task: int
    plan: int
    message: pb.MergeTask


@dataclass(frozen=True)
class Tell:
    """Something that an operator wants to know: connected, lost or refused."""

    event: str
    text: str


class Ending(Enum):
    LEFT = "left"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True)
class End:
    """The last action."""

    ending: Ending
    why: str = ""
    unfinished: int = 0


Action: TypeAlias = Connect | Map | Send | Prepare | Forget | Begin | Take | Close | Drop | Merge | Tell | End
