#!/usr/bin/env python3
"""Tests of the viewer's page in a real headless Chromium, with real servers behind it.

    tools/viewer/test_page.py --stemwire .build/release/stemwire [--pictures FOLDER]

Needs Debian's chromium and the package playwright (tools/viewer/requirements.txt).
"""

import argparse
import io
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

from browser import Page, browser, status
from servers import Bench, eventually
from steps import array, ended, expect, of, press, scan, table
from test_control import CONTROL_TESTS


def scan_pixel_by_pixel(bench, chromium, pictures):
    """A scan appears as it is: the canvas shows the channel's numbers, pixel by pixel."""
    bench.server(bench.detector("synthetic", "--nav-shape", 20, 28))
    _, address = bench.viewer()
    page = Page(chromium, address)
    scan(page)
    told = ended(page)
    expect(told["accounting"]["placed"] == 20 * 28, f"all frames placed: {told}")
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
    """A virtual detector dragged on the pattern changes the channel while the scan goes on, and the seam is shown."""
    bench.server(bench.detector("synthetic", "--nav-shape", 32, 32, "--dwelltime", 8000))
    _, address = bench.viewer()
    page = Page(chromium, address)
    scan(page)
    eventually("a pattern", lambda: page.shown("sig"))
    page.page.click('[data-add="disk"]')
    eventually("the disk's image", lambda: of(page, "nav", "run", "").startswith("view-"))
    before = page.run("window.stemwire.state.detectors[0].parameters")
    shown = page.shown("nav")
    middle = [before["cy"] + 0.5, before["cx"] + 0.5]
    page.drag("sig", middle, [middle[0] - 30, middle[1] + 40])
    after = page.run("window.stemwire.state.detectors[0].parameters")
    expect(after["cx"] - before["cx"] > 35 and before["cy"] - after["cy"] > 25, f"dragged from {before} to {after}")
    eventually("the change applied", lambda: page.run(
        "window.stemwire.state.message.detectors.every((detector) => detector.applied && !detector.problem)"))
    eventually("the changed image", lambda: of(page, "nav", "parameters") > shown["parameters"])
    told = page.run("window.stemwire.state.message.acquisition")
    expect(told["endReason"] is None, "the scan still runs")
    expect(page.shown("nav")["run"] == shown["run"], "the run goes on")
    page.picture(pictures, "drag")
    ended(page)
    shown = page.shown("nav")
    truth = array(address, f"{shown['run']}/{shown['udf']}.intensity")
    expect(np.array_equal(np.array(shown["values"]).reshape(32, 32), truth), "the changed image's numbers")
    expect("disk" in page.run("location.href"), "the view is in the address")
    page.page.reload()
    eventually("the same view again", lambda: page.run("window.stemwire?.state.detectors?.[0]?.parameters.cx") == after["cx"])
    return [page]


def seam_is_drawn(bench, chromium, pictures):
    """Where a result was made with other parameters a line is drawn, and the value under the cursor says so."""
    bench.server(bench.detector("synthetic", "--nav-shape", 8, 8))
    _, address = bench.viewer()
    page = Page(chromium, address)
    scan(page)
    ended(page)
    # The page is told of a seam at position 27, as a server without the frames from before tells it.
    seen = page.run("""() => { const { panes, state } = window.stemwire, told = state.shown.nav;
        const bright = () => { const { over } = panes.nav, context = over.getContext("2d");
            const count = (x0, y0, x1, y1) => { const a = panes.nav.toScreen(x0, y0), b = panes.nav.toScreen(x1, y1);
                const left = Math.floor(Math.min(a.x, b.x)) - 1, top = Math.floor(Math.min(a.y, b.y)) - 1;
                const data = context.getImageData(left, top, Math.ceil(Math.abs(b.x - a.x)) + 2, Math.ceil(Math.abs(b.y - a.y)) + 2).data;
                let found = 0; for (let at = 3; at < data.length; at += 4) found += data[at] > 0; return found; };
            return { left: count(0, 4, 3, 4), step: count(3, 3, 3, 4), right: count(3, 3, 8, 3), other: count(4, 4, 8, 4) }; };
        const before = bright();
        Object.assign(told, { seams: [[0, 27, 1], [27, 64, 2]], parameterGeneration: 2 });
        panes.nav.show(told);
        const pixel = (x, y) => { panes.nav.pointer = { x, y }; panes.nav.read(); return panes.nav.readout.textContent; };
        return { before, after: bright(), early: pixel(2.5, 3.5), late: pixel(3.5, 3.5), title: panes.nav.title.textContent }; }""")
    expect(not any(seen["before"].values()), f"no line before: {seen}")
    expect(all(seen["after"][part] > 10 for part in ["left", "step", "right"]) and not seen["after"]["other"], f"the line: {seen}")
    expect("before the last change" in seen["early"] and "before" not in seen["late"], f"in words: {seen}")
    expect("changed" in seen["title"], seen["title"])
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
    twice = [index for index, code in enumerate(page.shown("nav")["map"]) if code == 6]
    expect(twice == [39, 49], f"positions whose frame came twice: {twice}")
    expect("2 duplicate" in page.text("#legend"), page.text("#legend"))
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
    eventually("its results again", lambda: status(address)["channels"])
    eventually("its picture again", lambda: of(page, "nav", "final"))
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
    bench.server(bench.detector("synthetic", "--nav-shape", 24, 24, "--dwelltime", 3000))
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


def beside(bench, chromium, pictures):
    """Beside the scan: the acquisition before, and the Fourier transform; a profile; keys, units, and what is saved."""
    bench.server(bench.detector("synthetic", "--nav-shape", 16, 16, "--faults", "drop-at=100"))
    _, address = bench.viewer()
    page = Page(chromium, address)
    scan(page)
    ended(page)
    first = page.shown("nav")
    scan(page)
    ended(page, generation=2)
    page.page.click('#past button:has-text("Beside")')
    shown = eventually("the acquisition before", lambda: of(page, "side", "generation") == 1 and page.shown("side"))
    expect(shown["values"] == first["values"] and shown["map"] == first["map"], "its numbers and its map")
    expect("16 × 16" in page.text("#past") and "1 lacking" in page.text("#past"), page.text("#past"))
    page.page.keyboard.press("f")
    eventually("the transform", lambda: of(page, "side", "kind") == "fft")
    image = np.array(page.shown("nav")["values"], float).reshape(16, 16)
    image = np.where(np.array(page.shown("nav")["map"]).reshape(16, 16) == 2, np.nan, image)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(16) + 0.5) / 16)
    truth = np.abs(np.fft.fftshift(np.fft.fft2(np.nan_to_num(image - np.nanmean(image)) * window * window[:, None])))
    found = np.array(page.shown("side")["values"]).reshape(16, 16)
    expect(np.allclose(found, truth, rtol=1e-4, atol=1e-6 * truth.max()), f"the transform's numbers: {np.abs(found - truth).max()}")
    page.page.keyboard.press("1")
    page.page.keyboard.press("i")
    page.drag("nav", [4.5, 0.5], [4.5, 15.5])
    line = page.run("""async () => { const { samples } = await import("./profile.js"), { content, line } = window.stemwire.panes.nav;
        return Array.from(samples(content, line).values); }""")
    expect(np.allclose(line, image[4], equal_nan=True), f"the values along a line: {line} {image[4]}")
    expect(page.page.is_visible("#nav .curve"), "the curve is shown")
    page.page.click("summary:has-text('Scale')")
    page.page.fill("#nav-size", "0.5")
    page.page.keyboard.press("Tab")
    eventually("units, line and side in the address", lambda: all(part in page.run("location.href") for part in ["nav-unit=0.5", "nav-line=", "side=fft"]))
    files = page.run("""async () => { const { npy, tiff } = await import("./export.js"), told = window.stemwire.state.shown.nav;
        const bytes = async (blob) => Array.from(new Uint8Array(await blob.arrayBuffer()));
        return { npy: await bytes(npy(told.values, told.dtype, told.shape)), tiff: await bytes(tiff(told.values, 16, 16)) }; }""")
    expect(np.array_equal(np.load(io.BytesIO(bytes(files["npy"]))), np.array(page.shown("nav")["values"]).reshape(16, 16)), "the .npy")
    expect(np.array_equal(np.frombuffer(bytes(files["tiff"])[-1024:], "<f4"), np.array(page.shown("nav")["values"], "f4")), "the TIFF's numbers")
    lines = page.run("window.stemwire.copy()")
    expect("StemwireConnection.connect" in lines and 'server.snapshot("default")' in lines, lines)
    page.picture(pictures, "beside")
    page.page.click("#beside")
    expect(not page.page.is_visible("#side"), "closed again")
    return [page]


def detector_settings(bench, chromium, pictures):
    """The detector's settings are shown, and set; what it refuses is told."""
    bench.server(bench.detector("synthetic", "--nav-shape", 16, 16))
    _, address = bench.viewer()
    page = Page(chromium, address)
    press(page, "settings")
    eventually("the settings", lambda: page.page.query_selector('[data-setting="ACQUISITIONTIME"]'))
    expect(page.page.is_disabled('[data-setting="SOFTWAREVERSION"]'), "what cannot be set")
    page.page.fill('[data-setting="ACQUISITIONTIME"]', "2.5")
    page.page.keyboard.press("Tab")
    eventually("set", lambda: "ACQUISITIONTIME is 2.5" in page.text("#settings-told"))
    page.picture(pictures, "settings")
    page.page.fill("#setting-name", "COUNTERDEPTH")
    page.page.fill("#setting-value", "13")
    page.page.keyboard.press("Enter")
    eventually("refused", lambda: page.page.query_selector('#notices li[data-tone="error"]'))
    return [page]


def controls_are_named_and_in_reach(bench, chromium, pictures):
    """On a small screen and on tablets each control has a name and lies on the screen; keys do what pointers do."""
    bench.server(bench.detector("synthetic", "--nav-shape", 16, 16))
    _, address = bench.viewer()
    pages = []
    for size, fits in [((1280, 720), True), ((1024, 768), True), ((768, 1024), False)]:
        page = Page(chromium, address, {"width": size[0], "height": size[1]})
        pages.append(page)
        eventually("the server", lambda: page.run("window.stemwire.state.message?.server.state") in ("idle", "acquiring"))
        if size[0] == 1280:
            scan(page)
            ended(page)
        page.page.keyboard.press("b")
        found = page.run("""() => Array.from(document.querySelectorAll("button, select, input, canvas, summary"))
            .filter((each) => each.checkVisibility() && !each.closest("dialog")).map((each) => {
                const box = each.getBoundingClientRect();
                const name = each.getAttribute("aria-label") || (each.tagName !== "SELECT" && each.textContent.trim()) || each.labels?.[0]?.textContent.trim() || "";
                return { what: each.outerHTML.slice(0, 80), name, right: box.right, bottom: box.bottom, left: box.left, isBeside: Boolean(each.closest("aside")) }; })""")
        expect(len(found) > 25, f"the controls: {len(found)}")
        expect(all(each["name"] for each in found), f"without a name: {[each for each in found if not each['name']]}")
        outside = [each for each in found if each["left"] < 0 or each["right"] > size[0] + 1
                   or (fits and each["bottom"] > size[1] + 1 and not each["isBeside"])]
        expect(not outside, f"not on a screen of {size}: {outside}")
        page.picture(pictures, f"size-{size[0]}")
    page = pages[0]
    looks = "window.stemwire.looks.nav"
    page.page.keyboard.press("1")
    for key, look, value in [("m", "map", "magma"), ("l", "scale", "log"), ("k", "locked", True), ("0", "locked", False)]:
        page.page.keyboard.press(key)
        expect(page.run(f"{looks}.{look}") == value, f"{key}: {look} is {page.run(f'{looks}.{look}')}")
    page.page.keyboard.press("z")
    expect(page.run("window.stemwire.panes.nav.isFitted") is False, "zoomed")
    page.page.keyboard.press("g")
    page.page.keyboard.press("2")
    before = page.run("window.stemwire.state.detectors[0].parameters")
    for key in ["ArrowRight", "Shift+ArrowDown", "+"]:
        page.page.keyboard.press(key)
    after = page.run("window.stemwire.state.detectors[0].parameters")
    expect([after[name] - before[name] for name in ["cx", "cy", "ri", "ro"]] == [1, 10, 1, 1], f"moved and grown: {before} {after}")
    page.page.keyboard.press("Space")
    expect(page.run("window.stemwire.state.isPaused"), "paused")
    page.page.keyboard.press("?")
    expect(page.page.is_visible("#help"), "the list of keys")
    return pages


def moving_picture(bench, chromium, pictures):
    """A channel is a moving picture for an <img> and for programs."""
    bench.server(bench.detector("synthetic", "--nav-shape", 16, 24))
    _, address = bench.viewer()
    page = Page(chromium, address)
    page.run("""() => { const image = document.createElement("img"); image.id = "moving"; image.src = "mjpeg/sumsig?zoom=4&map=magma";
        document.querySelector("aside").prepend(image); }""")
    scan(page)
    ended(page)
    eventually("the picture", lambda: page.run("document.getElementById('moving').naturalWidth") == 96)
    expect(page.run("document.getElementById('moving').naturalHeight") == 64, "its height")
    return [page]


def roles_by_token(bench, chromium, pictures):
    """A page without a token asks for one; a viewer's sees the scan and cannot arm, a controller's can; revoked, it is over."""
    bench.server(bench.detector("synthetic", "--nav-shape", 16, 16))
    with tempfile.TemporaryDirectory() as folder:
        keys = f"{folder}/keys"

        def stemwire(*words):
            return subprocess.run([bench.stemwire, *words, "--keys", keys], check=True, capture_output=True, text=True, timeout=60).stdout.strip()

        stemwire("keygen")
        tokens = {role: stemwire("enrol", "--web", "--role", role, "--name", f"the-{role}") for role in ["viewer", "controller"]}
        _, address = bench.viewer("--keys", keys)
        viewer = Page(chromium, address)
        eventually("the question for a token", lambda: viewer.page.is_visible("#token"))
        expect("stemwire enrol --web" in viewer.text("#token"), viewer.text("#token"))
        viewer.page.fill("#token input", "stemweb1_" + 64 * "0")
        viewer.page.keyboard.press("Enter")
        eventually("a wrong token told", lambda: viewer.page.is_visible("#token") and "not let in" in viewer.text("#token"))
        viewer.page.fill("#token input", tokens["viewer"])
        viewer.page.keyboard.press("Enter")
        eventually("let in", lambda: viewer.run("window.stemwire.state.message?.server.state") == "idle" and not viewer.page.is_visible("#token"))
        expect(viewer.text("#role") == "viewer", viewer.text("#role"))
        for control in ['[data-command="arm"]', '[data-command="scan"]', '[data-add="disk"]']:
            expect(viewer.page.is_disabled(control), f"{control} is off")
            expect("the-viewer" in viewer.page.get_attribute(control, "title"), "and says why")
        # Neither by key nor behind the page's back.
        viewer.page.keyboard.press("a")
        viewer.run("window.stemwire.app.send({ type: 'command', id: 999, name: 'arm' })")
        eventually("refused by the viewer", lambda: "a viewer's" in viewer.text("#notices"))
        expect(viewer.run("window.stemwire.state.message.server.state") == "idle", "not armed")
        viewer.picture(pictures, "role")

        controller = Page(chromium, f"{address}#token={tokens['controller']}&nav-look=magma,linear,1,auto,0,0")
        eventually("let in as controller", lambda: controller.run("window.stemwire.state.message?.server.state") == "idle")
        expect("token" not in controller.run("location.href") and controller.run("window.stemwire.looks.nav.map") == "magma", "taken out of the address")
        scan(controller)
        for page in [controller, viewer]:
            ended(page)
        controller.page.reload()
        eventually("kept for the tab", lambda: controller.run("window.stemwire?.state.message?.viewer.role") == "controller")
        stemwire("revoke", "the-viewer")
        eventually("shut out", lambda: viewer.page.is_visible("#token"))
        return [viewer, controller]


TESTS = [
    scan_pixel_by_pixel, drag_mid_scan, seam_is_drawn, missing_on_the_map, reconnect, pattern_of_a_position, two_viewers, centre_of_mass, beside,
    detector_settings, controls_are_named_and_in_reach, moving_picture, roles_by_token, *CONTROL_TESTS,
]


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
