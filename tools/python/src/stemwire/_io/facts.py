"""What the iterators of both faces tell beside what they yield."""

from __future__ import annotations

from .._core.following import Following
from ..status import Accounting, End, Start
from .tiles import TileStream


class TileFacts:
    """About the acquisitions that a tile iterator follows; `start` and so on are those of the newest."""

    _stream: TileStream

    @property
    def _newest(self) -> Following | None:
        followed = self._stream.follower.followed
        return followed[max(followed)] if followed else None

    @property
    def start(self) -> Start | None:
        """What the acquisition's start told; None until it came."""
        return None if self._newest is None else self._newest.start

    @property
    def end(self) -> End | None:
        """How the acquisition ended; None while it runs."""
        return None if self._newest is None else self._newest.end

    @property
    def accounting(self) -> Accounting | None:
        """Where the acquisition's frames went; None while it runs."""
        return None if self.end is None else self.end.accounting

    @property
    def nav_shape(self) -> tuple[int, ...] | None:
        """Shape of the scan, slow axis first; None until the acquisition has begun."""
        return None if self._newest is None else self._newest.nav_shape

    @property
    def received(self) -> int:
        """Frames handed on, in all acquisitions that are followed."""
        return sum(len(each.received) for each in self._stream.follower.followed.values())

    @property
    def lost(self) -> tuple[range, ...]:
        """Positions of the acquisition that were lost on the way and that the server does not have any more, or,
        without repair, that simply did not come. Frames that the detector never sent are in `accounting`."""
        newest = self._newest
        if newest is None:
            return ()
        return tuple(newest.absent() if newest.done else []) + tuple(newest.released)

    @property
    def lost_messages(self) -> int:
        """Tiles that the live stream left out for this subscriber; with repair they were fetched."""
        return self._stream.follower.lost_messages
