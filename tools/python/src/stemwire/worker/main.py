"""`stemwire-worker`: the command line of a worker."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from .._core.tokens import Token
from .._version import __version__
from .offers import Offer, OfferError
from .process import Settings, Worker, WorkerRefused, WorkerUnreachable

_USAGE, _FAILURE, _UNREACHABLE, _INTERRUPTED = 64, 1, 3, 130
_LONGEST_DAY = 86_400.0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = _parser()
    try:
        options = parser.parse_args(arguments)
    except SystemExit as ended:
        return _USAGE if ended.code else 0
    if options.processes > 1:
        return _run_several(options.processes, sys.argv[1:] if arguments is None else list(arguments), options.name)
    sys.path[:0] = [str(Path(each).resolve()) for each in (*options.path, ".")]
    try:
        offers = [Offer.named(each) for each in options.udf]
        settings = _settings(options)
        worker = Worker(settings, offers, _teller(options.json))
    except (OfferError, ValueError) as error:
        print(f"stemwire-worker: {error}", file=sys.stderr)
        return _USAGE
    signals: list[int] = []

    def leave(number: int, frame: FrameType | None) -> None:
        signals.append(number)
        worker.leave(options.leave_timeout)

    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, leave)
    try:
        worker.run()
    except (WorkerUnreachable, WorkerRefused) as error:
        print(f"stemwire-worker: {error}", file=sys.stderr)
        return _UNREACHABLE if isinstance(error, WorkerUnreachable) else _FAILURE
    return _INTERRUPTED if signals[:1] == [signal.SIGINT] else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="stemwire-worker",
        description="Runs Python UDFs for a Stemwire acquisition server: those written against numpy, and LiberTEM's.",
        epilog="Exit codes: 0 done, 1 failure, 3 no server (with --connect-timeout), 64 usage, 130 interrupted.",
    )
    add = parser.add_argument
    add("--connect", metavar="tcp://HOST:7402", help="The server's work socket; or ipc://PATH.")
    add(
        "--udf",
        action="append",
        default=[],
        metavar="[NAME=]MODULE:CLASS",
        help="A UDF to offer: a class, or a function that makes one. May be given several times.",
    )
    add("--path", action="append", default=[], metavar="FOLDER", help="Where modules are looked for, too.")
    add("--processes", type=int, default=1, metavar="N", help="Workers to run, each a process. Default: 1.")
    add("--threads", type=int, default=1, metavar="N", help="Threads of LiberTEM's UDFs in each. Default: 1.")
    add("--name", default="", help="Name in the server's status. Default: host and process.")
    add("--memory-limit", type=int, default=256, metavar="MiB", help="Frames sent ahead. Default: 256.")
    add("--no-shared-memory", action="store_true", help="Have frames sent by a server on this machine, too.")
    add("--connect-timeout", type=float, metavar="S", help="End with code 3 when there is no server for so long.")
    add(
        "--token",
        metavar="FILE",
        help="Token of the role worker, for a server that asks for keys. Default: STEMWIRE_TOKEN.",
    )
    add("--leave-timeout", type=float, default=10.0, metavar="S", help="To finish within, after SIGTERM. Default: 10.")
    add("--json", action="store_true", help="Print one JSON object a line on standard output.")
    add("--version", action="version", version=__version__)
    return parser


def _settings(options: argparse.Namespace) -> Settings:
    limits: dict[str, tuple[float | None, float, float]] = {
        "--threads": (options.threads, 1, 1024),
        "--memory-limit": (options.memory_limit, 1, 1 << 20),
        "--connect-timeout": (options.connect_timeout, 0.001, _LONGEST_DAY),
        "--leave-timeout": (options.leave_timeout, 0, _LONGEST_DAY),
    }
    for name, (value, low, high) in limits.items():
        if value is not None and not low <= value <= high:
            raise ValueError(f"{name}: {value:g}; {low:g} to {high:g} are possible")
    settings = Settings(
        name=options.name,
        threads=options.threads,
        memory=options.memory_limit << 20,
        connect_timeout=options.connect_timeout,
        reads_memory=not options.no_shared_memory,
        token=None if options.token is None else Token.load(options.token),
    )
    settings.connect = options.connect or os.environ.get("STEMWIRE_CONNECT") or settings.connect
    return settings


def _teller(prints_json: bool) -> Any:
    def tell(event: dict[str, object]) -> None:
        if prints_json:
            print(json.dumps(event), flush=True)
        words = " ".join(f"{key}={value}" for key, value in event.items() if key != "event" and value not in (None, []))
        print(f"stemwire-worker: {event['event']} {words}", file=sys.stderr, flush=True)

    return tell


def _run_several(count: int, arguments: list[str], name: str) -> int:
    """One process for each; they end together."""
    if count > 1024:
        print(f"stemwire-worker: --processes: {count}; 1 to 1024 are possible", file=sys.stderr)
        return _USAGE
    command = [sys.executable, "-m", "stemwire.worker", *arguments, "--processes", "1"]
    names = [["--name", f"{name}-{index + 1}"] if name else [] for index in range(count)]
    workers = [subprocess.Popen([*command, *each]) for each in names]

    def pass_on(number: int, frame: FrameType | None) -> None:
        for worker in workers:
            if worker.poll() is None:
                worker.send_signal(number)

    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, pass_on)
    return max(worker.wait() for worker in workers)


def run() -> None:
    sys.exit(main())
