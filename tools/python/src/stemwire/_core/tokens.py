"""Tokens (PROTOCOL.md, "Who may come in"): the server's public key and a key pair of the client's own, in one line of
text."""

from __future__ import annotations

import base64
import binascii
import os
import stat
import sys
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import zmq
from zmq.utils import z85

from ..errors import BadToken

_PREFIX = "stemwire1_"
_KEY_BYTES = 32
_LONGEST_FILE = 4096
VARIABLE = "STEMWIRE_TOKEN"


@dataclass(frozen=True)
class Token:
    server_key: bytes
    public_key: bytes
    secret_key: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Token:
        """Reads a token's text. Raises `BadToken`."""
        words = text.split()
        if len(words) != 1:
            raise BadToken(f"that is no token: it is {'not one word' if words else 'empty'}")
        if not words[0].startswith(_PREFIX):
            other = words[0].startswith("stemwire")
            raise BadToken(
                f"that is no token: it {'is of another version' if other else f'does not begin with {_PREFIX}'}"
            )
        body = words[0].removeprefix(_PREFIX)
        try:
            data = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            data = b""
        if len(data) != 3 * _KEY_BYTES + 4:
            raise BadToken("that is no token: it is not whole, or has characters that do not belong there")
        keys, checksum = data[:-4], data[-4:]
        if zlib.crc32(keys).to_bytes(4, "big") != checksum:
            raise BadToken(
                "that is no token: a character of it is wrong; copy the whole line that `stemwire enrol` printed"
            )
        server, public, secret = (keys[at : at + _KEY_BYTES] for at in range(0, 3 * _KEY_BYTES, _KEY_BYTES))
        if z85.decode(zmq.curve_public(z85.encode(secret))) != public:
            raise BadToken("that is no token: its two own keys do not belong together")
        return cls(server, public, secret)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Token:
        """Reads a token from a file that nobody else may read; `-`: from standard input."""
        if str(path) == "-":
            return cls.parse(sys.stdin.readline())
        try:
            with Path(path).open(encoding="utf-8") as file:
                if os.name == "posix" and os.fstat(file.fileno()).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                    raise BadToken(f"others may read the token in {path}: chmod 600 it")
                return cls.parse(file.read(_LONGEST_FILE))
        except (OSError, UnicodeError) as error:
            raise BadToken(f"the token cannot be read: {error}") from None

    @classmethod
    def find(cls, given: Token | str | os.PathLike[str] | None) -> Token | None:
        """The given one: a token, its text, or a file's path; else what STEMWIRE_TOKEN holds, text or path."""
        if isinstance(given, Token):
            return given
        value = os.environ.get(VARIABLE, "") if given is None else given
        if not value:
            return None
        if isinstance(value, str) and value.strip().startswith("stemwire") and "/" not in value:
            return cls.parse(value)
        return cls.load(value)

    def apply(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        """Every socket that the context makes from now on speaks CURVE with these keys."""
        context.setsockopt(zmq.CURVE_SERVERKEY, self.server_key)
        context.setsockopt(zmq.CURVE_PUBLICKEY, self.public_key)
        context.setsockopt(zmq.CURVE_SECRETKEY, self.secret_key)
