"""European XFEL's `karabo_bridge` client, unmodified: `karabo.py PORT SOCKET FRAMES OUTPUT`; SOCKET is REQ or PULL.

Reads trains until so many frames have come, and writes them, (frame, y, x), as `images`.
"""

from __future__ import annotations

import sys

import numpy as np
from karabo_bridge import Client

SECONDS = 60.0


def main() -> None:
    port, kind, frames, output = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    images: dict[int, np.ndarray] = {}
    with Client(f"tcp://127.0.0.1:{port}", sock=kind, timeout=SECONDS) as client:
        print("ready", flush=True)
        while len(images) < frames:
            data, _ = client.next()
            (source,) = data.values()
            images.update(zip(map(int, source["image.position"]), source["image.data"], strict=True))
    np.savez(output, images=np.stack([images[position] for position in sorted(images)]))


main()
