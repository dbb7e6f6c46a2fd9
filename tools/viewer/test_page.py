#!/usr/bin/env python3
"""Tests of the viewer's page in a real headless Chromium, with real servers behind it.

    tools/viewer/test_page.py --stemwire .build/release/stemwire [--pictures FOLDER]

Needs Debian's chromium and the package playwright (tools/viewer/requirements.txt).
"""

import argparse
import io
import pathlib
import sys
import time

import numpy as np

from browser import Page, browser, get, status
from servers import Bench, eventually

TABLES = pathlib.Path(__file__).parents[2] / "Sources/StemwireViewer/Page/colourmaps.bin"
MAPS = ["viridis", "magma", "inferno", "cividis", "grey", "twilight", "wheel"]


def table(name):
    tables = np.frombuffer(TABLES.read_bytes(), np.uint8).reshape(len(MAPS), 256, 3)
    return tables[MAPS.index(name)].tolist()


def array(address, channel):
    return np.load(io.BytesIO(get(f"{address}snap/{channel}.npy")))


def expect(condition, what):
    if not condition:
        raise AssertionError(what)


def of(page, pane, name, otherwise=None):
    """One thing of what a pane shows now."""
    shown = page.shown(pane)
    return otherwise if shown is None or shown.get(name) is None else shown[name]


def press(page, command):
    """Clicks a command as soon as the page offers it."""
    button = f'[data-command="{command}"]'
    eventually(f"{command} offered", lambda: page.page.is_enabled(button))
    page.page.click(button)


def scan(page):
    press(page, "arm")
    press(page, "trigger")


def ended(page, generation=1, limit=60):
    def ask():
        told = page.run("window.stemwire.state.message?.acquisition")
        shown = page.shown("nav")
        return told and told["generation"] == generation and told.get("endReason") and shown and shown["final"] and told

    return eventually("the end of the acquisition", ask, limit)


def scan_pixel_by_pixel(bench, chromium, pictures):
    """A scan appears as it is: the canvas shows the channel's numbers, pixel by pixel."""
    bench.server(bench.detector("synthetic", "--nav-shape", 48, 64))
    _, address = bench.viewer()
    page = Page(chromium, address)
    scan(page)
    told = ended(page)
    expect(told["accounting"]["placed"] == 48 * 64, f"all frames placed: {told}")
    expect("complete" in page.text("#end"), f"the end is told: {page.text('#end')}")
    for pane, channel, look in [("nav", "sumsig", "viridis"), ("sig", "sum", "inferno")]:
        eventually(f"the final {channel}", lambda: of(page, pane, "final"))
        shown, truth = page.shown(pane), array(address, channel)
        expect(shown["udf"] == channel, f"{pane} shows {shown['udf']}")
        expect(np.array_equal(np.array(shown["values"]).reshape(shown["shape"]), truth), f"{channel}: the page's numbers")
        drawn = page.draws(pane, table(look))
        expect(drawn["wrongCount"] == 0, f"{channel} on the canvas: {drawn}")
        print(f"    {channel}: {drawn['count']} pixels as they should be ({page.run(f'window.stemwire.panes.{pane}.picture.kind')})")
    page.picture(pictures, "scan")
    plain = Page(chromium, address + "?render=2d")
    eventually("the plain picture", lambda: plain.shown("nav"))
    expect(plain.run("window.stemwire.panes.nav.picture.kind") == "2D", "drawn without the GPU")
    expect(plain.draws("nav", table("viridis"))["wrongCount"] == 0, "the plain picture's pixels")
    return [page, plain]


def drag_mid_scan(bench, chromium, pictures):
    """A virtual detector dragged on the pattern changes the channel while the scan goes on."""
    bench.server(bench.detector("synthetic", "--nav-shape", 64, 64, "--dwelltime", 3000))
    _, address = bench.viewer()
    page = Page(chromium, address)
    scan(page)
    eventually("a pattern", lambda: page.shown("sig"))
    page.page.click('[data-add="disk"]')
    eventually("the disk's image", lambda: of(page, "nav", "run", "").startswith("view-"))
    before = page.run("window.stemwire.state.detectors[0].parameters")
    run = page.shown("nav")["run"]
    middle = [before["cy"] + 0.5, before["cx"] + 0.5]
    started = time.monotonic()
    page.drag("sig", middle, [middle[0] - 30, middle[1] + 40])
    after = page.run("window.stemwire.state.detectors[0].parameters")
    expect(after["cx"] - before["cx"] > 35 and before["cy"] - after["cy"] > 25, f"dragged from {before} to {after}")
    eventually("the change applied", lambda: page.run(
        "window.stemwire.state.message.detectors.every((detector) => detector.applied && !detector.problem)"))
    eventually("the changed image", lambda: of(page, "nav", "run", run) != run)
    print(f"    from the drag to the changed picture: {1000 * (time.monotonic() - started):.0f} ms, drag included")
    told = page.run("window.stemwire.state.message.acquisition")
    expect(told["endReason"] is None, "the scan still runs")
    eventually("rows of the changed image", lambda: of(page, "nav", "processed", 0) > 500)
    page.picture(pictures, "drag")
    ended(page)
    shown = page.shown("nav")
    truth = array(address, f"{shown['run']}/{shown['udf']}.intensity")
    expect(np.array_equal(np.array(shown["values"]).reshape(64, 64), truth), "the changed image's numbers")
    expect("disk" in page.page.url, f"the view is in the address: {page.page.url}")
    page.page.reload()
    eventually("the same view again", lambda: page.run("window.stemwire?.state.detectors?.[0]?.parameters.cx") == after["cx"])
    return [page]


def missing_on_the_map(bench, chromium, pictures):
    """Lost frames are shown where they belong, and counted; duplicates are counted."""
    bench.server(bench.detector("synthetic", "--nav-shape", 32, 32, "--faults", "drop-at=100-131+500,duplicate-at=40+50"))
    _, address = bench.viewer()
    page = Page(chromium, address)
    scan(page)
    told = ended(page)
    expect(told["accounting"]["missing"] == 33, f"missing: {told['accounting']}")
    expect(told["accounting"]["duplicates"] == 2, f"duplicates: {told['accounting']}")
    eventually("the map", lambda: of(page, "nav", "map", []).count(2) == 33)
    where = [index for index, code in enumerate(page.shown("nav")["map"]) if code == 2]
    expect(where == [*range(99, 131), 499], f"missing positions: {where}")
    expect("33 missing" in page.text("#legend"), page.text("#legend"))
    expect("33 missing" in page.text("#end"), page.text("#end"))
    seen = page.run("""() => { const pane = window.stemwire.panes.nav, copy = document.createElement("canvas");
        copy.width = pane.canvas.width; copy.height = pane.canvas.height;
        const context = copy.getContext("2d"); context.drawImage(pane.canvas, 0, 0);
        const at = pane.toScreen(499 % 32 + 0.5, Math.floor(499 / 32) + 0.5);
        return Array.from(context.getImageData(at.x, at.y, 1, 1).data).slice(0, 3); }""")
    expect(seen == [255, 79, 123], f"a missing position's colour: {seen}")
    page.picture(pictures, "missing")
    return [page]


def reconnect(bench, chromium, pictures):
    """The page says why there is nothing, and goes on by itself when server or viewer are back."""
    source = bench.detector("synthetic", "--nav-shape", 16, 16)
    server = bench.server(source)
    viewer, address = bench.viewer()
    page = Page(chromium, address)
    scan(page)
    ended(page)
    server.end()
    eventually("the loss told", lambda: page.run("document.getElementById('link').dataset.state") == "lost", 30)
    print(f"    {page.text('#link')[:110]}")
    page.picture(pictures, "lost")
    bench.server(source, control_port=bench.control_port)
    eventually("the server again", lambda: page.run("document.getElementById('link').dataset.state") == "connected", 30)
    scan(page)
    ended(page)
    viewer.end()
    eventually("the viewer's loss told", lambda: "no viewer" in page.text("#link"), 30)
    bench.viewer(port=int(address.rsplit(":", 1)[1].strip("/")))
    eventually("the viewer again", lambda: page.run("document.getElementById('link').dataset.state") == "connected", 30)
    eventually("its picture again", lambda: page.shown("nav"))
    return [page]


def pattern_of_a_position(bench, chromium, pictures):
    """A click on the scan shows the pattern of that position."""
    bench.server(bench.detector("synthetic", "--nav-shape", 16, 16))
    _, address = bench.viewer()
    page = Page(chromium, address)
    scan(page)
    ended(page)
    page.page.mouse.click(*page.screen("nav", [5.5, 7.5]))
    shown = eventually("the frame", lambda: of(page, "sig", "position") == 87 and page.shown("sig"))
    total = array(address, "sumsig")[5, 7]
    expect(sum(shown["values"]) == total, f"its counts: {sum(shown['values'])}, sumsig says {total}")
    page.page.keyboard.press("ArrowRight")
    eventually("the next frame", lambda: of(page, "sig", "position") == 88)
    page.picture(pictures, "position")
    return [page]


def two_viewers(bench, chromium, pictures):
    """Two pages show different things; one that may only look cannot arm."""
    bench.server(bench.detector("synthetic", "--nav-shape", 16, 16))
    _, address = bench.viewer()
    _, looking = bench.viewer("--look")
    one, other = Page(chromium, address + "#nav=default/sumsig/intensity"), Page(chromium, looking + "#sig=default/monitor/intensity")
    scan(one)
    ended(one)
    ended(other)
    eventually("the sum", lambda: of(one, "sig", "udf") == "sum")
    eventually("the newest frame", lambda: of(other, "sig", "udf") == "monitor")
    expect(not other.page.is_visible('[data-command="arm"]'), "no arm button for who may only look")
    other.run("document.querySelector('[data-command=arm]').click()")
    before = status(address)["acquisition"]["generation"]
    other.run("""() => { const socket = new WebSocket(new URL("live", location.href.replace("http", "ws").split("#")[0]));
        window.answered = new Promise((done) => { socket.binaryType = "arraybuffer"; socket.onmessage = (event) =>
            done(new TextDecoder().decode(event.data)); });
        socket.onopen = () => { socket.send(JSON.stringify({ type: "command", id: 1, name: "arm" })); socket.send(JSON.stringify({ type: "next" })); }; }""")
    expect("may look only" in other.run("window.answered"), "refused")
    expect(status(address)["acquisition"]["generation"] == before, "nothing armed")
    return [one, other]


def centre_of_mass(bench, chromium, pictures):
    """The centre of mass is shown as a colour wheel."""
    bench.server(bench.detector("synthetic", "--nav-shape", 64, 64, "--dwelltime", 1000))
    _, address = bench.viewer()
    page = Page(chromium, address)
    scan(page)
    eventually("a pattern", lambda: page.shown("sig"))
    page.page.click('[data-add="com"]')
    eventually("the field", lambda: of(page, "nav", "channel") == "field")
    expect(page.run("window.stemwire.looks.nav.map") == "wheel", "a circular colour map")
    ended(page)
    page.picture(pictures, "centre-of-mass")
    return [page]


TESTS = [scan_pixel_by_pixel, drag_mid_scan, missing_on_the_map, reconnect, pattern_of_a_position, two_viewers, centre_of_mass]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stemwire", required=True, help="the program under test")
    parser.add_argument("--view", help="the command that serves the viewer; default: STEMWIRE view")
    parser.add_argument("--pictures", help="folder for screenshots")
    parser.add_argument("names", nargs="*", help="tests to run; default: all")
    options = parser.parse_args()
    view = [options.view] if options.view else [options.stemwire, "view"]
    failures = 0
    with browser() as chromium:
        for test in TESTS:
            if options.names and test.__name__ not in options.names:
                continue
            print(test.__doc__.splitlines()[0])
            started = time.monotonic()
            try:
                with Bench(options.stemwire, view) as bench:
                    for page in test(bench, chromium, options.pictures):
                        expect(not page.faults, f"the page's script failed: {page.faults}")
                        page.close()
                print(f"  passed in {time.monotonic() - started:.1f} s")
            except Exception as failure:
                failures += 1
                print(f"  FAILED after {time.monotonic() - started:.1f} s: {type(failure).__name__}: {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
