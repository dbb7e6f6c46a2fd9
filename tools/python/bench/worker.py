"""A LiberTEM UDF through one Python worker against the same UDF in LiberTEM's inline executor on the same data in
memory.

    bench/worker.py [--frames N] [--side PIXELS] [--rounds N] [UDF …]

Needs LiberTEM and a stemwire binary (STEMWIRE_BINARY, or a release build). Both sides are measured in turn, several
times; the figures are the medians. The worker's time runs from the first partition to the last result, as the server
counts it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from libertem.api import Context
from libertem.executor.inline import InlineJobExecutor
from tests import merlin
from tests.conftest import start
from tests.workers import start_worker

import stemwire

UDFS = {
    "sum": ("libertem.udf.sum:SumUDF", {}),
    "sumsig": ("libertem.udf.sumsigudf:SumSigUDF", {}),
    "stddev": ("libertem.udf.stddev:StdDevUDF", {}),
    "com": ("libertem.udf.com:CoMUDF.with_params", {}),
    "logsum": ("libertem.udf.logsum:LogsumUDF", {}),
}


def make(name: str) -> Any:
    import importlib

    spec, parameters = UDFS[name]
    module, _, path = spec.partition(":")
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return found(**parameters)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("udfs", nargs="*", default=list(UDFS))
    parser.add_argument("--frames", type=int, default=4096)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--partition", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    columns = 64
    nav, sig = (options.frames // columns, columns), (options.side, options.side)
    kind = merlin.Kind("U16", 12)
    images = np.random.default_rng(1).poisson(4, (options.frames, *sig)).astype(np.uint16).reshape(*nav, *sig)
    size = images.nbytes / 1e6
    context = Context(executor=InlineJobExecutor(inline_threads=1))
    count = -(-options.frames // options.partition)
    data_set = context.load("memory", data=images, sig_dims=2, num_partitions=count)
    with tempfile.TemporaryDirectory() as folder:
        source = merlin.record(Path(folder), images, kind)
        server = start(
            *(
                "serve",
                "--source",
                str(source),
                "--threads",
                "0",
                "--udf",
                "none",
                "--ring",
                f"{images.nbytes * 5 // 4 >> 20}",
            ),
            *("--frames-per-partition", str(options.partition), "--control-port", "0", "--live-port", "0"),
            *("--work-port", "0", "--http-port", "0"),
        )
        specs = tuple(f"lt-{name}={UDFS[name][0]}" for name in options.udfs)
        worker = start_worker(server, *specs)
        try:
            worker.wait_for("connected")
            with stemwire.connect(server.address) as connection:
                for name in options.udfs:
                    compare(context, data_set, connection, name, size, options.rounds)
        finally:
            worker.stop()
            server.stop()


def compare(context: Any, data_set: Any, connection: Any, name: str, size: float, rounds: int) -> None:
    inline, through = [], []
    # The first time of each compiles.
    for turn in range(rounds + 1):
        begun = time.perf_counter()
        context.run_udf(data_set, make(name))
        middle = time.perf_counter()
        results = connection.run({"u": stemwire.udf(f"lt-{name}")}, timeout=300)
        ended = time.perf_counter()
        assert results.coverage == 1
        if turn:
            inline.append(size / (middle - begun))
            through.append(size / (ended - middle))
    own, theirs = statistics.median(through), statistics.median(inline)
    print(f"{name:10} worker {own:7.0f} MB/s   inline executor {theirs:7.0f} MB/s   ratio {own / theirs:.2f}")


if __name__ == "__main__":
    main()
