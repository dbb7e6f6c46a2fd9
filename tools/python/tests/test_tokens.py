"""Tokens: read, refused, and used against a server that asks for keys."""

from __future__ import annotations

import base64
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zmq
from zmq.utils import z85

import stemwire
from stemwire import Token

from .conftest import Program, find_binary
from .workers import WorkerProcess


def make(server: bytes, public: bytes, secret: bytes) -> str:
    keys = server + public + secret
    data = keys + zlib.crc32(keys).to_bytes(4, "big")
    return "stemwire1_" + base64.urlsafe_b64encode(data).decode().rstrip("=")


def pair() -> tuple[bytes, bytes]:
    public, secret = zmq.curve_keypair()
    return z85.decode(public), z85.decode(secret)


def test_a_token_is_read() -> None:
    server, (public, secret) = pair()[0], pair()
    token = Token.parse(f"  {make(server, public, secret)}\n")
    assert (token.server_key, token.public_key, token.secret_key) == (server, public, secret)
    assert secret.hex() not in repr(token)
    assert repr(secret) not in repr(token)


def test_what_is_no_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server, (public, secret) = pair()[0], pair()
    good = make(server, public, secret)
    spoilt = good[:40] + ("A" if good[40] != "A" else "B") + good[41:]
    for text, why in (
        ("", "empty"),
        ("stemwire9_abc", "version"),
        ("what", "begin"),
        (good[:-3], "whole"),
        (spoilt, "character"),
        (make(server, server, secret), "belong together"),
    ):
        with pytest.raises(stemwire.BadToken, match=why):
            Token.parse(text)
    path = tmp_path / "token"
    path.write_text(good)
    path.chmod(0o644)
    with pytest.raises(stemwire.BadToken, match="chmod 600"):
        Token.find(path)
    path.chmod(0o600)
    assert Token.find(path) == Token.find(good) == Token.parse(good)
    with pytest.raises(stemwire.BadToken, match="cannot be read"):
        Token.load(tmp_path / "nothing")
    monkeypatch.setenv("STEMWIRE_TOKEN", str(path))
    assert Token.find(None) == Token.parse(good)
    monkeypatch.setenv("STEMWIRE_TOKEN", "")
    assert Token.find(None) is None


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    binary = find_binary()
    if binary is None:
        pytest.skip("no stemwire binary")
    folder = tmp_path / "keys"
    made = subprocess.run([binary, "keygen", "--keys", folder], capture_output=True, check=False)
    if made.returncode == 64:
        pytest.skip("this stemwire has no keys")
    assert made.returncode == 0, made.stderr
    return folder


def enrol(keys: Path, role: str) -> str:
    binary = find_binary()
    assert binary is not None
    command = [binary, "enrol", "--keys", keys, "--role", role, "--name", role]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return next(word for word in told.split() if word.startswith("stemwire1_"))


def test_a_server_with_keys(
    keys: Path, launch: Callable[..., Program], worker: Callable[..., WorkerProcess], tmp_path: Path
) -> None:
    tokens = {role: enrol(keys, role) for role in ("viewer", "controller", "worker")}
    base = ("serve", "--source", "synthetic", "--nav-shape", "8", "8", "--threads", "0", "--udf", "none")
    ports = ("--control-port", "0", "--live-port", "0", "--work-port", "0", "--http-port", "0")
    program = launch(*base, *ports, "--keys", str(keys))
    file = tmp_path / "worker.token"
    file.touch(0o600)
    file.write_text(tokens["worker"])
    worker(program, "udfs:Brightest", options=("--token", str(file))).wait_for("connected")
    with stemwire.connect(program.address, token=tokens["controller"]) as server:
        results = server.run({"b": "Brightest", "sum": "sum"}, timeout=60)
        assert results.complete
        frames = np.concatenate([tile.decoded() for tile in server.fetch()])
        np.testing.assert_array_equal(frames.sum(axis=0, dtype=np.uint64), results["sum"].data)
    with stemwire.connect(program.address, token=tokens["viewer"]) as viewer:
        assert viewer.status().acquisitions == 1
        with pytest.raises(stemwire.Forbidden):
            viewer.arm()
    with pytest.raises((stemwire.NotStemwire, stemwire.AccessDenied), match="token"):
        stemwire.connect(program.address, timeout=3)
    server_key, own = Token.parse(tokens["viewer"]).server_key, pair()
    with pytest.raises(stemwire.AccessDenied, match="never enrolled"):
        stemwire.connect(program.address, token=make(server_key, *own), timeout=3)
    with pytest.raises((stemwire.AccessDenied, stemwire.NotStemwire)):
        stemwire.connect(program.address, token=make(pair()[0], *own), timeout=3)
