"""Messages of the live stream: what is lost shows, what cannot be is refused before anything is viewed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import xxhash

from stemwire import Channel, ChecksumMismatch, ProtocolError, Tile
from stemwire._core.live import LiveDecoder, LiveMessage
from stemwire._wire import stemwire_pb2 as pb

FRAME = 16
TILE = b"1/tile/m/"
RESULT = b"1/result/m/default/bf/intensity/"


def tile_header(sequence: int = 1, session: bytes = b"s", checksum: int = 0, size: int = 2 * FRAME) -> pb.LiveHeader:
    form = pb.FrameFormat(pixel_type="U08", payload_bytes=4, sig_shape=[2, 2], dtype="uint8", data_offset=4)
    tile = pb.Tile(
        acquisition=bytes(16),
        generation=1,
        count=2,
        format=form,
        stride=FRAME,
        pixel_offset=4,
        payload_bytes=size,
        checksum=checksum,
        nav_shape=[9],
    )
    return pb.LiveHeader(session=session, sequence=sequence, tile=tile)


def update_header(mask_checksum: int = 0) -> pb.LiveHeader:
    update = pb.Update(
        acquisition=bytes(16),
        run="default",
        udf="bf",
        channel="intensity",
        kind="nav",
        dtype="uint16",
        shape=[3, 3],
        nav_shape=[3, 3],
        mask_checksum=mask_checksum,
    )
    return pb.LiveHeader(session=b"s", sequence=1, update=update)


def decode(decoder: LiveDecoder, topic: bytes, header: pb.LiveHeader | bytes, *payloads: bytes) -> LiveMessage:
    head = header if isinstance(header, bytes) else header.SerializeToString()
    return decoder.decode([memoryview(each) for each in (topic, head, *payloads)])


def test_jumps_are_losses() -> None:
    decoder = LiveDecoder(True)
    lost = [decode(decoder, TILE, tile_header(number), bytes(32)).lost for number in (5, 6, 9, 10)]
    assert lost == [0, 0, 2, 0]
    # Each topic counts for itself, and another session counts anew.
    assert decode(decoder, b"1/tile/other/", tile_header(50), bytes(32)).lost == 0
    assert decode(decoder, TILE, tile_header(90, b"t"), bytes(32)).lost == 0
    assert decode(decoder, TILE, tile_header(92, b"t"), bytes(32)).lost == 1


def test_checksums() -> None:
    payload = bytes(range(32))
    good = xxhash.xxh3_64_intdigest(payload)
    for checksum in (0, good):
        assert isinstance(decode(LiveDecoder(True), TILE, tile_header(checksum=checksum), payload).body, Tile)
    with pytest.raises(ChecksumMismatch, match="position 0"):
        decode(LiveDecoder(True), TILE, tile_header(checksum=good + 1), payload)
    assert isinstance(decode(LiveDecoder(False), TILE, tile_header(checksum=good + 1), payload).body, Tile)
    with pytest.raises(ChecksumMismatch, match="mask"):
        decode(LiveDecoder(True), RESULT, update_header(mask_checksum=1), bytes(18), bytes(2))


def test_the_mask_is_told_lowest_bit_first() -> None:
    data = np.arange(9, dtype="<u2").tobytes()
    body = decode(LiveDecoder(True), RESULT, update_header(), data, bytes([0b10000001, 0b1])).body
    assert isinstance(body, Channel)
    assert body.valid.ravel().tolist() == [True, *[False] * 6, True, True]
    assert not body.data.flags.writeable


def test_unknown_kinds_are_skipped() -> None:
    unknown = pb.LiveHeader(session=b"s", sequence=1).SerializeToString() + b"\xaa\x06\x02hi"
    assert decode(LiveDecoder(True), b"1/new/m/", unknown).body is None


def changed(change: Callable[[pb.LiveHeader], object], header: pb.LiveHeader) -> pb.LiveHeader:
    change(header)
    return header


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [TILE],
        [b"1/tile/m", tile_header(), bytes(32)],
        [TILE, b"\xff\xff", bytes(32)],
        [TILE, b"\0" * ((1 << 20) + 1), bytes(32)],
        [TILE, tile_header(), *[b""] * 300],
        [TILE, tile_header()],
        [TILE, tile_header(), bytes(32), b""],
        [TILE, tile_header(), bytes(33)],
        [TILE, tile_header(), bytes(31)],
        [TILE, tile_header(size=23), bytes(23)],
        [TILE, changed(lambda each: each.tile.format.ClearField("sig_shape"), tile_header()), bytes(32)],
        [TILE, changed(lambda each: setattr(each.tile.format, "dtype", "object"), tile_header()), bytes(32)],
        [TILE, changed(lambda each: setattr(each.tile, "acquisition", b"short"), tile_header()), bytes(32)],
        [RESULT, update_header(), bytes(18)],
        [RESULT, update_header(), bytes(17), bytes(2)],
        [RESULT, update_header(), bytes(18), bytes(1)],
        [RESULT, update_header(), bytes(18), bytes(3)],
        [RESULT, changed(lambda each: setattr(each.update, "dtype", "object"), update_header()), bytes(18), bytes(2)],
        [RESULT, changed(lambda each: each.update.shape.extend([2] * 40), update_header()), bytes(18), bytes(2)],
    ],
    ids=range(20),
)
def test_messages_that_cannot_be(parts: list[bytes | pb.LiveHeader]) -> None:
    raw = [each if isinstance(each, bytes) else each.SerializeToString() for each in parts]
    with pytest.raises(ProtocolError):
        LiveDecoder(True).decode([memoryview(each) for each in raw])
