"""Reads a scan from the detector's socket into the same memory over and over: what the sender can do."""

from __future__ import annotations

import socket
import time

from detector_operator import DetectorPorts

BUFFER_BYTES = 1 << 20
HEADER_SECONDS = 20.0
SILENCE_SECONDS = 0.3


def drain(ports: DetectorPorts, frames: int) -> float:
    """Frames per second from the trigger to the last byte."""
    memory = memoryview(bytearray(BUFFER_BYTES))
    with socket.create_connection((ports.host, ports.data), timeout=HEADER_SECONDS) as data:
        with ports.open_control() as control:
            control.set("NUMFRAMESTOACQUIRE", frames)
            control.set("NUMFRAMESPERTRIGGER", frames)
            control.set("TRIGGERSTART", 5)
            control.cmd("STARTACQUISITION")
            begun = time.perf_counter()
            control.cmd("SOFTTRIGGER")
        last = begun
        data.settimeout(SILENCE_SECONDS)
        while True:
            try:
                if not data.recv_into(memory):
                    break
            except TimeoutError:
                break
            last = time.perf_counter()
    return frames / (last - begun)
