"""The REST keys of a DECTRIS detector that LiberTEM-live asks for: what is read comes from the server, arm and
trigger go to it."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from .._io.client import TokenLike
from .._io.waiting import run
from ..connection import Connection, connect
from ..errors import NotFound, StemwireError
from ..status import Start
from .dectris import detector_configuration

_VERSION = "1.8.0"
_LONGEST_BODY = 1 << 16
_DTYPES = {1: 8, 6: 8, 12: 16, 24: 32}
_SERVER_COMMANDS = {"abort": "abort", "cancel": "stop", "disarm": "abort"}


class DectrisAPI:
    """Serves on a thread of its own."""

    def __init__(self, address: str, token: TokenLike | None, host: str, port: int, compression: str) -> None:
        api = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_GET(self) -> None:
                self._answer(lambda: api.read(self.path.strip("/").split("/")))

            def do_PUT(self) -> None:
                size = min(int(self.headers.get("Content-Length") or 0), _LONGEST_BODY)
                body = self.rfile.read(size)
                self._answer(lambda: api.write(self.path.strip("/").split("/"), body))

            def _answer(self, work: Any) -> None:
                try:
                    code, told = 200, work()
                except KeyError as error:
                    code, told = 404, {"error": f"there is no {error}"}
                except (StemwireError, ValueError) as error:
                    code, told = 500, {"error": str(error)}
                encoded = json.dumps(told).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(encoded)))
                self.end_headers()
                self.wfile.write(encoded)

            def log_message(self, format: str, *values: Any) -> None:
                """Requests are not logged."""

        self._address = address
        self._token = token
        self._compression = compression
        self._changes: dict[str, Any] = {}
        self._server = ThreadingHTTPServer((host, port), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="dectris-api", daemon=True)
        self._thread.start()

    def read(self, path: list[str]) -> Any:
        match path:
            case ["detector", "api", "version"]:
                return {"value": _VERSION, "value_type": "string"}
            case ["detector", "api", _, "config", key]:
                return {"value": self._configuration()[key], "access_mode": "rw"}
            case ["detector", "api", _, "status", "state"]:
                with connect(self._address, token=self._token) as server:
                    return {"value": {"idle": "idle", "armed": "ready"}.get(server.status().state, "acquire")}
            case ["stream", "api", _, "config", "mode"]:
                return {"value": "enabled", "access_mode": "rw", "allowed_values": ["enabled"]}
            case ["stream", "api", _, "config", "header_detail"]:
                return {"value": "basic", "access_mode": "rw", "allowed_values": ["basic"]}
        raise KeyError("/".join(path))

    def write(self, path: list[str], body: bytes) -> Any:
        match path:
            case ["stream", "api", _, "config", key]:
                allowed = {"mode": "enabled", "header_detail": "basic"}[key]
                if json.loads(body)["value"] != allowed:
                    raise ValueError(f"{key} is {allowed} here")
                return []
            case ["detector", "api", _, "config", key]:
                self._configuration()[key]
                self._changes[key] = json.loads(body)["value"]
                return [key]
            case ["detector", "api", _, "command", command]:
                return self._command(command)
        raise KeyError("/".join(path))

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _command(self, command: str) -> Any:
        with connect(self._address, token=self._token) as server:
            if command == "arm":
                series = server.status().latest_generation + 1
                frames = int(self._changes.get("ntrigger", 1)) * int(self._changes.get("nimages", 1))
                internal = str(self._changes.get("trigger_mode", "exte")).startswith("int")
                server.arm(frames=frames if frames > 1 else None, trigger="soft" if internal else None)
                return {"sequence id": series}
            if command == "trigger":
                server.trigger()
                return {}
            if command in _SERVER_COMMANDS:
                getattr(server, _SERVER_COMMANDS[command])()
                return {"sequence id": server.status().latest_generation}
            if command == "initialize":
                return {}
        raise KeyError(command)

    def _configuration(self) -> dict[str, Any]:
        """Of the acquisition that runs or was last; before the first one, of the detector as it is set."""
        with connect(self._address, token=self._token) as server:
            start = _last_start(server)
            if start is not None:
                form, frames = start.format, start.frames_expected
                found = detector_configuration(form, frames, self._compression)
            else:
                width, height = int(server.get("IMAGEX")), int(server.get("IMAGEY"))
                bits = _DTYPES.get(int(server.get("COUNTERDEPTH")), 32)
                found = {"x_pixels_in_detector": width, "y_pixels_in_detector": height, "bit_depth_image": bits}
                found |= {"ntrigger": 1, "nimages": 1, "trigger_mode": "exte", "compression": self._compression}
        return found | self._changes


def _last_start(server: Connection) -> Start | None:
    try:
        return run(server._client.snapshot()).start
    except NotFound:
        return None
