"""Small cores: positions, topics, addresses, UDFs."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from stemwire import UDF, disk, pick, udf
from stemwire._core.addresses import Address
from stemwire._core.positions import PositionSet
from stemwire._core.topics import parse_topic, topic
from stemwire.errors import ProtocolError
from stemwire.udfs import as_udfs


@pytest.mark.parametrize("seed", range(20))
def test_positions_are_a_set(seed: int) -> None:
    dice = random.Random(seed)
    found, plain = PositionSet(), set[int]()
    for _ in range(200):
        start = dice.randrange(300)
        stop = start + dice.randrange(12)
        fresh = [position for each in found.add(start, stop) for position in each]
        assert fresh == sorted(set(range(start, stop)) - plain)
        plain |= set(range(start, stop))
        low, high = sorted((dice.randrange(320), dice.randrange(320)))
        absent = [position for each in found.absent(low, high) for position in each]
        assert absent == [position for position in range(low, high) if position not in plain]
        assert len(found) == len(plain)
        assert found.stop == max(plain, default=-1) + 1
    ranges = list(found)
    assert all(before.stop < after.start for before, after in pairwise(ranges))
    assert all((position in found) == (position in plain) for position in range(320))


def test_topics() -> None:
    assert topic("result", "merlin", "default", "sum") == b"1/result/merlin/default/sum/"
    assert parse_topic(b"1/tile/merlin/") == ("tile", "merlin")
    for wrong in (b"", b"1/", b"1/tile", b"2/tile/merlin/", b"1//merlin/", b"1/t\xff/", b"1/" + b"a" * 129 + b"/"):
        with pytest.raises(ProtocolError):
            parse_topic(wrong)
    for wrong_segment in ("", "a/b", "ü", "a" * 129):
        with pytest.raises(ValueError, match="topic"):
            topic(wrong_segment)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("tcp://merlin:7500", "merlin", 7500),
        ("stemwire://merlin", "merlin", 7400),
        ("127.0.0.1:1", "127.0.0.1", 1),
        ("merlin", "merlin", 7400),
        ("tcp://[::1]:7500", "::1", 7500),
        ("::1", "::1", 7400),
    ],
)
def test_addresses(text: str, host: str, port: int) -> None:
    assert Address.parse(text) == Address(host, port)


@pytest.mark.parametrize("text", ["", "tcp://", "http://merlin", "merlin:0", "merlin:70000", "merlin:x", "tcp://a/b"])
def test_addresses_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="address"):
        Address.parse(text)


def test_loopback() -> None:
    assert all(Address(host, 1).is_loopback for host in ("localhost", "127.0.0.1", "127.1.2.3", "::1"))
    assert not any(Address(host, 1).is_loopback for host in ("merlin", "10.0.0.1", "fe80::1"))
    assert Address("::1", 7).endpoint(8) == "tcp://[::1]:8"


def test_udfs() -> None:
    assert disk(r=30, cy=1.5).parameters == {"cy": "1.5", "r": "30"}
    assert udf("com", flip_y=True).parameters == {"flip_y": "true"}
    assert pick([0, 17]).parameters == {"frames": "0,17"}
    assert UDF.parse("bf=disk:cy=128,r=30") == UDF("disk", {"cy": "128", "r": "30"}, "bf")
    assert UDF.parse("pick:frames=0,17,100-109").parameters == {"frames": "0,17,100-109"}
    assert [each.key for each in as_udfs({"bf": disk(), "sum": "sum"})] == ["bf", "sum"]
    assert [each.key for each in as_udfs("sum")] == ["sum"]
    for wrong in (["sum", "sum"], [], ["a/b"]):
        with pytest.raises(ValueError, match=r"UDF|topic"):
            as_udfs(wrong)
    for text in ("", "=disk", "disk:=1", "disk:r"):
        with pytest.raises(ValueError, match="looks like"):
            UDF.parse(text)
