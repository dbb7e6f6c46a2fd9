"""`stemwire-adapt`: the command line of the adapters."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType
from typing import Any, Protocol

from .._core.tokens import Token
from .._version import __version__
from ..errors import AccessDenied, NotStemwire, ServerUnreachable, StemwireError
from .dectris import COMPRESSIONS, FORMATS, DectrisStream
from .karabo import KaraboBridge
from .source import Begin, End, Event, FrameSource

_USAGE, _FAILURE, _UNREACHABLE, _INTERRUPTED = 64, 1, 3, 130


class Sink(Protocol):
    port: int

    def send(self, event: Event, stopped: threading.Event) -> None: ...

    def close(self) -> None: ...


def main(arguments: Sequence[str] | None = None) -> int:
    try:
        options = _parser().parse_args(arguments)
    except SystemExit as ended:
        return _USAGE if ended.code else 0
    if options.bind not in ("127.0.0.1", "localhost", "::1") and not options.insecure:
        print(
            f"stemwire-adapt: --bind {options.bind}: other machines reach it; add --insecure if that is meant",
            file=sys.stderr,
        )
        return _USAGE
    address = options.connect or os.environ.get("STEMWIRE_CONNECT") or "tcp://127.0.0.1:7400"
    try:
        token = None if options.token is None else Token.load(options.token)
        source = FrameSource(address, token)
    except AccessDenied as error:
        print(f"stemwire-adapt: {error}", file=sys.stderr)
        return _FAILURE
    except (ServerUnreachable, NotStemwire) as error:
        print(f"stemwire-adapt: {error}", file=sys.stderr)
        return _UNREACHABLE
    except ValueError as error:
        print(f"stemwire-adapt: --connect: {error}", file=sys.stderr)
        return _USAGE
    signals: list[int] = []
    stopped = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        signals.append(number)
        stopped.set()
        source.stop()

    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, stop)
    api = None
    try:
        sink, ports = _open(options, source.name)
        if options.adapter == "dectris":
            from .rest import DectrisAPI

            api = DectrisAPI(address, token, options.bind, options.api_port, options.compression)
            ports["api_port"] = api.port
        _tell(options.json, {"event": "listening", **ports})
        for event in source.events():
            sink.send(event, stopped)
            _tell_event(options.json, event)
    except ImportError as error:
        print(f"stemwire-adapt: {error}: pip install 'stemwire[adapters]'", file=sys.stderr)
        return _FAILURE
    except (StemwireError, OSError) as error:
        print(f"stemwire-adapt: {error}", file=sys.stderr)
        return _UNREACHABLE if isinstance(error, ConnectionError) else _FAILURE
    finally:
        if api is not None:
            api.close()
        source.close()
    sink.close()
    return _INTERRUPTED if signals[:1] == [signal.SIGINT] else 0


def _open(options: argparse.Namespace, name: str) -> tuple[Sink, dict[str, Any]]:
    if options.adapter == "karabo-bridge":
        import msgpack as _

        bridge = KaraboBridge(options.socket, options.bind, options.port, options.name or name)
        return bridge, {"port": bridge.port, "socket": options.socket}
    if options.stream == "stream2":
        import cbor2 as _
    if options.compression == "lz4":
        import lz4.block as _  # noqa: F401
    stream = DectrisStream(options.stream, options.compression, options.bind, options.stream_port)
    return stream, {"stream_port": stream.port}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="stemwire-adapt",
        description="Serves other programs' own protocols from a Stemwire acquisition server.",
        epilog="Merlin's own protocol: stemwire adapt mpx. Exit codes: 0 done, 1 failure, 3 server unreachable, "
        "64 usage, 130 interrupted.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    adapters = parser.add_subparsers(dest="adapter", required=True)
    karabo = adapters.add_parser("karabo-bridge", help="karabo-bridge 2.2, for karabo_bridge.Client and EXtra tools.")
    karabo.add_argument("--port", type=int, default=45000, help="0 takes a free one. Default: 45000.")
    karabo.add_argument("--socket", choices=("REP", "PUB", "PUSH"), default="REP", help="For REQ, SUB or PULL clients.")
    karabo.add_argument("--name", default="", help="Name of the source. Default: the server's.")
    dectris = adapters.add_parser("dectris", help="DECTRIS stream V1 or stream2, for one client.")
    dectris.add_argument("--stream-port", type=int, default=9999, help="0 takes a free one. Default: 9999.")
    dectris.add_argument(
        "--api-port", type=int, default=8910, help="Of the REST keys; 0 takes a free one. Default: 8910."
    )
    dectris.add_argument("--stream", choices=FORMATS, default="v1")
    dectris.add_argument("--compression", choices=COMPRESSIONS, default="lz4")
    for each in (karabo, dectris):
        each.add_argument("--connect", metavar="tcp://HOST:7400", help="The server's control socket.")
        each.add_argument("--token", metavar="FILE", help="For a server that asks for keys. Default: STEMWIRE_TOKEN.")
        each.add_argument("--bind", default="127.0.0.1", help="Address to listen at. Default: 127.0.0.1.")
        each.add_argument("--insecure", action="store_true", help="Allow an address that other machines reach.")
        each.add_argument("--json", action="store_true", help="Print one JSON object a line on standard output.")
    return parser


def _tell_event(prints_json: bool, event: Event) -> None:
    if isinstance(event, Begin):
        _tell(prints_json, {"event": "began", "generation": event.start.generation})
    elif isinstance(event, End):
        told = {"generation": event.start.generation, "frames": event.frames, "absent": event.absent}
        _tell(prints_json, {"event": "ended", **told})


def _tell(prints_json: bool, event: dict[str, Any]) -> None:
    if prints_json:
        print(json.dumps(event), flush=True)
    words = " ".join(f"{key}={value}" for key, value in event.items() if key != "event")
    print(f"stemwire-adapt: {event['event']} {words}", file=sys.stderr, flush=True)


def run() -> None:
    sys.exit(main())
