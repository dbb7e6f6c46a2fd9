"""Runs the interoperability checks and prints a table; see `run`, which prepares what they need."""

from __future__ import annotations

import argparse
import fnmatch
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import check_writer
from check_adapters import AdapterChecks
from check_run import RunChecks, SyntheticChecks
from check_sim import SimulatorChecks
from check_udfs import UDFChecks
from data_sets import DataSets
from libertem_client import LiberTEMClient
from report import Check, outcome_line, print_summary, run_check
from simulators import AdaptedSimulator, LiberTEMSimulator, StemwireSimulator


def main() -> int:
    arguments = parse_arguments()
    # A shell that starts this in the background ignores interrupts, and programs started here would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with tempfile.TemporaryDirectory(prefix="stemwire-interop-") as name:
        folder = Path(name)
        with LiberTEMClient(folder) as client:
            checks = [check for check in all_checks(arguments, client, folder) if selected(check, arguments.only)]
            if arguments.list:
                print("\n".join(check.title for check in checks))
                return 0
            outcomes = []
            for check in checks:
                outcomes.append(run_check(check))
                print(outcome_line(outcomes[-1]), flush=True)
            return 0 if print_summary(outcomes) else 1


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Checks Stemwire against LiberTEM-live.")
    parser.add_argument("--stemwire", type=Path, help="the program to check")
    parser.add_argument("--clients", type=Path, default=Path(), help="virtual environments of clients and adapters")
    parser.add_argument("--self-test", action="store_true", help="check the checks: LiberTEM-live against itself")
    parser.add_argument("--only", metavar="PATTERN", help="only checks whose title has PATTERN (with * and ?) in it")
    parser.add_argument("--list", action="store_true", help="list the checks and run none")
    arguments = parser.parse_args()
    if not (arguments.self_test or arguments.list):
        if arguments.stemwire is None:
            parser.error("--stemwire BINARY or --self-test is needed")
        if not os.access(arguments.stemwire, os.X_OK):
            parser.error(f"{arguments.stemwire} is not a program that can be run")
    return arguments


def all_checks(arguments: argparse.Namespace, client: LiberTEMClient, folder: Path) -> Iterator[Check]:
    data_sets = DataSets(folder / "data")
    yield from check_writer.checks(client, data_sets)
    if arguments.self_test:
        yield from SimulatorChecks(LiberTEMSimulator(folder), client, data_sets).checks()
        return
    binary = Path(arguments.stemwire or "stemwire").resolve()
    simulator = StemwireSimulator(binary, folder)
    yield from SimulatorChecks(simulator, client, data_sets).checks()
    yield from SyntheticChecks(binary, simulator, client, folder).checks()
    yield from RunChecks(binary, data_sets, folder).checks()
    yield from UDFChecks(binary, client, data_sets, folder).checks()
    yield from SimulatorChecks(AdaptedSimulator(binary, folder), client, data_sets).triggered_checks()
    yield from AdapterChecks(binary, arguments.clients, client, data_sets, folder).checks()


def selected(check: Check, pattern: str | None) -> bool:
    return pattern is None or fnmatch.fnmatch(check.title.lower(), f"*{pattern.lower()}*")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
