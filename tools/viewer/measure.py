#!/usr/bin/env python3
"""Figures of the viewer, each beside the limit that it has to keep.

    tools/viewer/measure [--seconds 10] [--pages 50] [--pictures 40]

A scan of 256 x 256 positions goes on. A browser with the page measures the drag and the first picture; programs in a
page's place read the newest state as fast as they can, after a stall, and fifty at a time. What one page costs the receiver
is measured with a detector that sends as fast as it can: without a page and with one, in turns. Needs a quiet machine.
"""

import argparse
import asyncio
import base64
import concurrent.futures
import json
import os
import statistics
import struct
import subprocess
import sys
import time
import urllib.parse

from browser import Page, browser, get
from servers import Bench, eventually

UPDATES = 30
LIMITS = {"drag": 100, "first": 1000, "stall": 2000 / UPDATES, "cost": 5, "size": 150_000}
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


def dragged(chromium, address, count):
    """Milliseconds from a move of a virtual detector to the first picture made with its new place, each."""
    page = Page(chromium, address)
    eventually("a pattern", lambda: page.shown("sig"))
    page.page.click('[data-add="disk"]')
    eventually("the disk's image", lambda: page.run("window.stemwire.state.shown.nav?.run.startsWith('view-')"))
    times = page.run("""async (count) => {
        const { app, state, panes } = window.stemwire, detector = state.detectors[0], times = [];
        let seen = null;
        const show = panes.nav.show;
        panes.nav.show = function (told, problem) { show.call(this, told, problem); if (told) seen?.(told.parameterGeneration); };
        for (let step = 0; step < count; step++) {
            const before = state.shown.nav.parameterGeneration, started = performance.now();
            const changed = new Promise((done) => {
                seen = (generation) => { if (generation > before) done(true); };
                setTimeout(() => done(false), 5000);
            });
            app.detectors.change(detector, { cx: detector.parameters.cx + (step % 2 ? -9 : 9) });
            times.push(await changed ? performance.now() - started : 5000);
            await new Promise((done) => setTimeout(done, 60 + 40 * Math.random()));
        }
        return times; }""", count)
    page.close()
    return sorted(times)


def opened(chromium, address, count):
    """Milliseconds from the beginning of the page's loading to its first picture, each."""
    times = []
    for _ in range(count):
        page = Page(chromium, address)
        eventually("a picture", lambda: page.run("window.stemwire.trust.drawn.length > 0"))
        times.append(page.run("window.stemwire.trust.firstAt"))
        page.close()
    return sorted(times)


def alone(work):
    """Runs a coroutine on a thread of its own: the browser's library has a loop on this one."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def received(stemwire, port):
    told = subprocess.run([stemwire, "ctl", "--connect", f"tcp://127.0.0.1:{port}", "--json", "status"],
                          check=True, capture_output=True, text=True, timeout=30).stdout
    return int(json.loads(told)["detector"]["framesReceived"])


async def receiver_cost(stemwire, port, address, seconds, rounds):
    """Frames a second that the receiver takes, without a page and with one at full rate; medians of turns."""
    async def rate():
        start, count = time.monotonic(), received(stemwire, port)
        await asyncio.sleep(seconds)
        return (received(stemwire, port) - count) / (time.monotonic() - start)

    async def follow(page):
        while True:
            await page.next()

    unwatched, watched = [], []
    for _ in range(rounds):
        unwatched.append(await rate())
        page = await Socket.open(address)
        page.send({"type": "view", "panes": PANES})
        following = asyncio.create_task(follow(page))
        watched.append(await rate())
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        page.writer.close()
    return statistics.median(unwatched), statistics.median(watched)


class Figures:
    """Prints figures, and knows whether one was past its limit."""

    def __init__(self):
        self.missed = 0

    def tell(self, text, value=None, limit=None):
        mark = ""
        if limit is not None:
            isKept = value <= limit
            self.missed += not isKept
            mark = "   ok" if isKept else "   MISSED"
        print(text + mark, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stemwire", required=True, help="the program to be measured")
    parser.add_argument("--seconds", type=float, default=10, help="for each figure")
    parser.add_argument("--pages", type=int, default=50)
    parser.add_argument("--pictures", type=int, default=40, help="drags that are timed")
    parser.add_argument("--dwelltime", type=int, default=820, help="microseconds a frame; 820: as fast as 12 bits are read out")
    options = parser.parse_args()
    figures, stemwire = Figures(), options.stemwire
    ports = ["--control-port", 0, "--data-port", 0, "--trigger-port", 0]

    def scan(bench, *more):
        source = bench.start(stemwire, "sim", "synthetic", "--json", "--nav-shape", 256, 256, *ports, *more).told
        program = bench.server(f"merlin://127.0.0.1:{source['control_port']},{source['data_port']}", "--updates", UPDATES)
        address = f"http://127.0.0.1:{program.told['http_port']}/"
        eventually("frames", lambda: json.loads(get(address + "status"))["channels"])
        return program, address

    with Bench(stemwire, [stemwire, "view"]) as bench, browser() as chromium:
        program, address = scan(bench, "--dwelltime", options.dwelltime)
        page = Page(chromium, address)
        size = page.run("performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation')).reduce((sum, each) => sum + each.decodedBodySize, 0)")
        page.close()
        figures.tell(f"the page: {size:,} bytes", size, LIMITS["size"])
        times = opened(chromium, address, 5)
        figures.tell(f"first picture after opening in mid-scan: median {statistics.median(times):.0f} ms, the slowest of {len(times)} {times[-1]:.0f} ms",
                     times[-1], LIMITS["first"])
        times = dragged(chromium, address, options.pictures)
        p95 = times[int(0.95 * len(times))]
        figures.tell(f"from drag to changed picture at 256 x 256: median {statistics.median(times):.0f} ms, 95 % of {len(times)} within {p95:.0f} ms", p95, LIMITS["drag"])
        rate, median, high, bandwidth = alone(updates(address, options.seconds))
        figures.tell(f"one page: {rate:.1f} messages with a picture a second, {bandwidth:.1f} MB/s; age of the image {median:.1f} ms, 95 %: {high:.1f} ms")
        age = alone(stall(address, options.seconds))
        figures.tell(f"after {options.seconds:.0f} s in which nothing was read: the first image is {age:.0f} ms old (two update periods are {LIMITS['stall']:.0f} ms; "
                     "nothing queues up, so that the length of the stall does not matter)", age, LIMITS["stall"])
        before, most, least, median = alone(crowd(address, options.pages, options.seconds, program.process))
        bound = options.pages * 2
        figures.tell(f"{options.pages} pages, every fifth never reads: {before:.0f} MiB before, {most:.0f} MiB at most; "
                     f"{median:.1f} messages with a picture a second and page, the slowest {least:.1f}; the bound is 2 MiB a page", most - before, bound)
    with Bench(stemwire, [stemwire, "view"]) as bench:
        program, address = scan(bench, "--cached", "memory")
        unwatched, watched = alone(receiver_cost(stemwire, program.told["control_port"], address, options.seconds / 2, 5))
        cost = 100 * (1 - watched / unwatched)
        figures.tell(f"receiver at full rate: {unwatched:,.0f} frames a second without a page, {watched:,.0f} with one: {cost:.1f} % fewer", cost, LIMITS["cost"])
    return 1 if figures.missed else 0


if __name__ == "__main__":
    sys.exit(main())
