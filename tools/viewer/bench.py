#!/usr/bin/env python3
"""Figures of the viewer: updates a second, the age of an image after a stall, memory with many pages.

    tools/viewer/bench.py --stemwire .build/release/stemwire [--seconds 10] [--pages 50]

A detector that never ends sends scans of 256 x 256; a program in a page's place reads the newest state as fast as it can.
"""

import argparse
import asyncio
import base64
import json
import os
import statistics
import struct
import time
import urllib.parse

from servers import Bench

PANES = [
    {"pane": "nav", "source": "channel", "run": "default", "udf": "sumsig", "channel": "intensity"},
    {"pane": "sig", "source": "channel", "run": "default", "udf": "sum", "channel": "intensity"},
]


class Socket:
    """A WebSocket as a page has it: text to the viewer, binary messages from it."""

    @classmethod
    async def open(cls, address):
        where = urllib.parse.urlsplit(address)
        self = cls()
        self.reader, self.writer = await asyncio.open_connection(where.hostname, where.port, limit=1 << 26)
        key = base64.b64encode(os.urandom(16)).decode()
        self.writer.write(
            f"GET /live HTTP/1.1\r\nHost: {where.netloc}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode())
        answer = await self.reader.readuntil(b"\r\n\r\n")
        assert b" 101 " in answer.splitlines()[0], answer
        return self

    def send(self, message):
        text = json.dumps(message).encode()
        length = bytes([0x80 | len(text)]) if len(text) < 126 else bytes([0xFE]) + struct.pack(">H", len(text))
        self.writer.write(b"\x81" + length + b"\0\0\0\0" + text)

    async def next(self):
        """The next message's header and size."""
        self.send({"type": "next"})
        head = await self.reader.readexactly(2)
        count = head[1] & 127
        if count == 126:
            (count,) = struct.unpack(">H", await self.reader.readexactly(2))
        elif count == 127:
            (count,) = struct.unpack(">Q", await self.reader.readexactly(8))
        body = await self.reader.readexactly(count)
        (length,) = struct.unpack("<I", body[:4])
        return json.loads(body[8 : 8 + length]), count


def memory(process):
    with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmRSS"))


async def updates(address, seconds):
    """Updates with a picture that one page gets in a second, and how old they are when they come."""
    page = await Socket.open(address)
    page.send({"type": "view", "panes": PANES})
    ages, size, end = [], 0, time.monotonic() + seconds
    while time.monotonic() < end:
        header, count = await page.next()
        if header["panes"]:
            ages.append(max(pane.get("ageMs", 0) for pane in header["panes"]))
            size += count
    page.writer.close()
    ages.sort()
    return len(ages) / seconds, statistics.median(ages), ages[int(0.95 * len(ages))], size / seconds / 1e6


async def stall(address, seconds):
    """The age of the first image that is asked for after a pause in which nothing was read."""
    page = await Socket.open(address)
    page.send({"type": "view", "panes": PANES})
    await page.next()
    await asyncio.sleep(seconds)
    started = time.monotonic()
    while True:
        header, _ = await page.next()
        if header["panes"]:
            break
    page.writer.close()
    return max(pane["ageMs"] for pane in header["panes"]) + 1000 * (time.monotonic() - started)


async def crowd(address, pages, seconds, process):
    """Memory with many pages, every fifth of which asks and never reads."""
    before, most, counts = memory(process), 0, [0] * pages
    sockets = [await Socket.open(address) for _ in range(pages)]
    end = time.monotonic() + seconds

    async def follow(number, page):
        page.send({"type": "view", "panes": PANES})
        if number % 5 == 0:
            for _ in range(1000):
                page.send({"type": "next"})
            # The library reads for itself otherwise.
            page.writer.transport.pause_reading()
            await asyncio.sleep(max(0, end - time.monotonic()))
            return
        while time.monotonic() < end:
            header, _ = await page.next()
            counts[number] += bool(header["panes"])

    async def watch():
        nonlocal most
        while time.monotonic() < end:
            most = max(most, memory(process))
            await asyncio.sleep(0.1)

    await asyncio.gather(watch(), *(follow(number, page) for number, page in enumerate(sockets)))
    for page in sockets:
        page.writer.close()
    reading = [count / seconds for number, count in enumerate(counts) if number % 5]
    return before, most, min(reading), statistics.median(reading)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stemwire", required=True, help="the program to be measured")
    parser.add_argument("--view", help="the command that serves the viewer; default: STEMWIRE view")
    parser.add_argument("--seconds", type=float, default=10, help="for each figure")
    parser.add_argument("--pages", type=int, default=50)
    parser.add_argument("--dwelltime", type=int, default=250, help="microseconds a frame")
    options = parser.parse_args()
    with Bench(options.stemwire, [options.view] if options.view else [options.stemwire, "view"]) as bench:
        source = bench.start(
            options.stemwire, "sim", "synthetic", "--json", "--nav-shape", 256, 256, "--dwelltime", options.dwelltime,
            "--control-port", 0, "--data-port", 0, "--trigger-port", 0).told
        bench.server(f"merlin://127.0.0.1:{source['control_port']},{source['data_port']}", "--updates", 30)
        viewer, address = bench.viewer()
        time.sleep(2)
        rate, median, high, bandwidth = asyncio.run(updates(address, options.seconds))
        print(f"one page: {rate:.1f} messages with a picture a second, {bandwidth:.1f} MB/s; age of the image {median:.1f} ms, 95 %: {high:.1f} ms")
        age = asyncio.run(stall(address, options.seconds))
        print(f"after {options.seconds:.0f} s in which nothing was read: the first image is {age:.0f} ms old")
        before, most, least, median = asyncio.run(crowd(address, options.pages, options.seconds, viewer.process))
        print(f"{options.pages} pages, every fifth never reads: {before:.0f} MiB before, {most:.0f} MiB at most; "
              f"{median:.1f} messages with a picture a second and page, the slowest {least:.1f}")


if __name__ == "__main__":
    main()
