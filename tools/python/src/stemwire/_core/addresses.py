"""Addresses of servers."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

DEFAULT_PORT = 7400


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int

    @classmethod
    def parse(cls, text: str, default_port: int = DEFAULT_PORT) -> Address:
        """From `tcp://HOST:PORT`, `stemwire://HOST[:PORT]`, `HOST:PORT` or `HOST`."""
        rest = text.strip()
        for scheme in ("tcp://", "stemwire://"):
            rest = rest.removeprefix(scheme)
        if "://" in rest or "/" in rest.rstrip("/") or not rest:
            raise ValueError(f"{text!r} is not an address of a server; it looks like tcp://HOST:{default_port}")
        rest = rest.rstrip("/")
        if rest.startswith("["):
            host, _, port = rest[1:].partition("]")
            port = port.removeprefix(":")
        elif rest.count(":") > 1:
            host, port = rest, ""
        else:
            host, _, port = rest.partition(":")
        if not host or (port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536)):
            raise ValueError(f"{text!r} is not an address of a server; it looks like tcp://HOST:{default_port}")
        return cls(host, int(port) if port else default_port)

    def endpoint(self, port: int | None = None) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tcp://{host}:{self.port if port is None else port}"

    def __str__(self) -> str:
        return self.endpoint().removeprefix("tcp://")

    @property
    def is_loopback(self) -> bool:
        """The server is on this machine, so that checksums may be left uncompared."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False
