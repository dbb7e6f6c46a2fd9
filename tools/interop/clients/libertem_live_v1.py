"""LiberTEM-live's own `dectris` connection, unmodified: `libertem_live_v1.py API_PORT STREAM_PORT Y X OUTPUT`.

Waits for an acquisition that somebody else starts, and writes LiberTEM's `sum` and `sumsig` of it.
"""

from __future__ import annotations

import sys

import numpy as np
from libertem.executor.inline import InlineJobExecutor
from libertem.udf.sum import SumUDF
from libertem.udf.sumsigudf import SumSigUDF
from libertem_live.api import LiveContext

SECONDS = 60.0


def main() -> None:
    api, stream, height, width = map(int, sys.argv[1:5])
    with LiveContext(executor=InlineJobExecutor()) as context:
        connection = context.make_connection("dectris").open(
            api_host="127.0.0.1", api_port=api, data_host="127.0.0.1", data_port=stream
        )
        with connection as conn:
            print("ready", flush=True)
            pending = conn.wait_for_acquisition(timeout=SECONDS)
            if pending is None:
                raise SystemExit(f"no acquisition began within {SECONDS:g} s")
            acquisition = context.make_acquisition(conn=conn, pending_aq=pending, nav_shape=(height, width))
            results = context.run_udf(dataset=acquisition, udf=[SumUDF(dtype="float64"), SumSigUDF()])
    sums = [np.array(each["intensity"].data) for each in results]
    np.savez(sys.argv[5], sum=sums[0], sumsig=sums[1])


main()
