"""Tests of the page: the check before a scan, the server's history, keys, the lines that are copied."""

import io
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np

from browser import Page, status
from servers import eventually
from steps import array, ended, expect, of, press, scan

ROOT = pathlib.Path(__file__).parents[2]


def check_before_scan(bench, chromium, pictures):
    """Scan shows first what the scan takes and what stands against it; the detector can be told the number of frames."""
    bench.server(bench.detector("synthetic", "--nav-shape", 16, 16))
    _, address = bench.viewer()
    page = Page(chromium, address)
    eventually("idle", lambda: page.page.is_enabled('[data-command="scan"]'))
    page.page.keyboard.press("w")
    eventually("the verdict", lambda: page.page.get_attribute("#check-verdict", "data-tone") in ("good", "warning"))
    facts = page.text("#check-facts")
    expect("16 × 16" in facts and "256 needed, 256 would come" in facts and "256 × 256" in facts, facts)
    expect("soft trigger" in page.text("#check-findings"), page.text("#check-findings"))
    expect(status(address)["server"]["state"] == "idle", "nothing was armed")
    page.picture(pictures, "check-good")
    page.page.click("#check-cancel")
    page.page.fill("#scan-rows", "8")
    page.page.fill("#scan-columns", "12")
    press(page, "scan")
    eventually("another verdict", lambda: "96 needed, 256 would come" in page.text("#check-facts"))
    expect(page.page.get_attribute("#check-verdict", "data-tone") == "bad", page.text("#check-verdict"))
    expect(page.page.query_selector('#check-findings [data-tone="error"]'), page.text("#check-findings"))
    expect("all the same" in page.text("#check-start"), page.text("#check-start"))
    page.picture(pictures, "check-bad")
    page.page.check("#check-frames")
    eventually("a good verdict", lambda: page.page.get_attribute("#check-verdict", "data-tone") in ("good", "warning"))
    expect(status(address)["server"]["state"] == "idle", "still nothing was armed")
    page.page.focus("#check-start")
    page.page.keyboard.press("Enter")
    told = ended(page)
    expect(told["accounting"]["placed"] == 96 and told["navShape"] == [8, 12], f"the scan: {told}")
    expect(not page.page.is_visible("#check"), "the dialog is gone")
    return [page]


def history_of_the_server(bench, chromium, pictures):
    """The server's history is listed, also what was before this server and this viewer; results that are kept can be shown."""
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/history.sqlite"
        source = bench.detector("synthetic", "--nav-shape", 8, 16, "--faults", "drop-at=10")
        former = bench.server(source, "--history", file)
        viewer, address = bench.viewer()
        page = Page(chromium, address)
        scan(page)
        ended(page)
        page.close()
        viewer.end()
        former.end()
        bench.server(source, "--history", file)
        viewer, address = bench.viewer()
        page = Page(chromium, address)
        item = "#past li:nth-child({})".format
        eventually("the former server's acquisition", lambda: page.page.query_selector(item(1)))
        expect("8 × 16" in page.text("#past") and "1 lacking" in page.text("#past"), page.text("#past"))
        expect(page.page.is_disabled(f'{item(1)} button:has-text("Beside")'), "its results were of the former server")
        for generation in [1, 2]:
            scan(page)
            ended(page, generation)
        first = page.shown("nav")
        page.close()
        # A viewer that comes later: the server still has the results of the last acquisitions.
        viewer.end()
        _, address = bench.viewer()
        page = Page(chromium, address)
        eventually("both acquisitions before", lambda: page.page.query_selector(item(2)))
        eventually("results of the one before", lambda: page.page.is_enabled(f'{item(1)} button:has-text("Beside")'))
        page.page.click(f'{item(1)} button:has-text("Beside")')
        shown = eventually("it beside", lambda: of(page, "side", "generation") == 1 and page.shown("side"))
        expect(shown["values"] == first["values"] and shown["map"].count(2) == 1, "its numbers and its map")
        page.page.click(f'{item(2)} button:has-text("…")')
        eventually("what the history tells", lambda: page.page.is_visible("#entry"))
        text = page.text("#entry")
        expect("128 expected = 127 placed + 1 missing" in text and "8 × 16" in text, text)
        expect("sumsig.intensity" in text and re.search(r"\b[0-9a-f]{32}\b", text), f"results with their digests: {text}")
        page.page.click("#entry summary")
        expect("HDR" in page.text("#entry-header"), page.text("#entry-header")[:200])
        page.picture(pictures, "entry")
        page.page.click("#entry-close")
        return [page]


def keys_for_lines_and_places(bench, chromium, pictures):
    """Keys move a line and its ends, the place whose value is told, the limits and the image; limits are typed."""
    bench.server(bench.detector("synthetic", "--nav-shape", 16, 16))
    _, address = bench.viewer()
    page = Page(chromium, address)
    scan(page)
    ended(page)
    nav, sig = "window.stemwire.panes.nav", "window.stemwire.panes.sig"
    eventually("the sum", lambda: of(page, "sig", "final"))
    page.page.keyboard.press("2")
    for key in ["ArrowRight", "ArrowRight", "ArrowDown"]:
        page.page.keyboard.press(key)
    values = page.shown("sig")["values"]
    expect(page.run(f"{sig}.readout.textContent") == f"row 129, column 130: {values[129 * 256 + 130]:,}", page.run(f"{sig}.readout.textContent"))
    page.page.keyboard.press("1")
    page.page.keyboard.press("i")
    before = page.run(f"{nav}.line")
    for key in ["ArrowDown", "j", "ArrowRight", "j", "Shift+ArrowUp"]:
        page.page.keyboard.press(key)
    after = page.run(f"{nav}.line")
    moved = [after[end][axis] - before[end][axis] for end in ["from", "to"] for axis in ["x", "y"]]
    expect(np.allclose(moved, [0, -9, 1, 1]), f"all of it down, its end to the right, its beginning up: {moved}")
    page.page.keyboard.press("i")
    left = page.run(f"{nav}.view.left")
    page.page.keyboard.press("Control+ArrowRight")
    expect(page.run(f"{nav}.view.left") > left, "the image moved")
    page.page.fill('#nav [data-limit="high"]', "20,000.5")
    page.page.keyboard.press("Tab")
    expect(page.run("window.stemwire.looks.nav.limits[1]") == 20000.5 and page.run("window.stemwire.looks.nav.locked"), "the limit typed")
    page.page.fill('#nav [data-limit="low"]', "30000")
    page.page.keyboard.press("Tab")
    expect(page.run("window.stemwire.looks.nav.limits[0]") < 20000, "a lower limit over the upper one is none")
    page.page.focus("#nav .levels canvas")
    page.page.keyboard.press("ArrowLeft")
    expect(page.run("window.stemwire.looks.nav.limits[1]") != 20000.5, "the histogram's limit")
    return [page]


def copied_lines(bench, chromium, pictures):
    """The Python lines that are copied give the channel's numbers; the Swift lines are those that a test of Swift runs."""
    bench.server(bench.detector("synthetic", "--nav-shape", 16, 16, "--dwelltime", 12000))
    _, address = bench.viewer()
    page = Page(chromium, address)
    scan(page)
    eventually("a pattern", lambda: page.shown("sig"))
    page.page.click('[data-add="disk"]')
    page.run("() => { const { app, state } = window.stemwire; app.detectors.change(state.detectors[0], { cy: 7, cx: 8.5, r: 4 }); }")
    ended(page)
    eventually("the disk's image", lambda: of(page, "nav", "run", "").startswith("view-") and of(page, "nav", "final"))
    own = page.run("window.stemwire.copy()")
    page.page.select_option("#nav .source", "default/sumsig/intensity")
    eventually("the plain channel", lambda: of(page, "nav", "udf") == "sumsig")
    plain = page.run("window.stemwire.copy()")
    expect(np.array_equal(python(plain), array(address, "sumsig")), "the lines of a channel")
    # A virtual detector is computed on the acquisition that comes next.
    process = start_python(own)
    eventually("its run", lambda: [run for run in status(address)["runs"] if run["run"].startswith("run-")] or process.poll() is not None)
    scan(page)
    ended(page, generation=2)
    shown = eventually("the disk's image again", lambda: of(page, "side", "nothing") is None and disk(page))
    expect(np.array_equal(finish(process).ravel(), shown), "the lines of a virtual detector")
    swift = (ROOT / "Tests/StemwireViewerTests/Shell/CopiedLinesTests.swift").read_text()
    name = page.run("window.stemwire.state.detectors[0].id")
    for text, marker in [(plain, "channel"), (own, "virtual detector")]:
        lines = text.split("# Python")[0].split("import StemwireClient")[1].replace(f'"{name}"', '"d"')
        lines = re.sub(r"^//.*$", "", lines, flags=re.MULTILINE)
        lines = "".join(re.sub(r'connect\(to: "[^"]*"\)', "connect(to: endpoint)", lines).split())
        tested = "".join(swift.split(f"// copied: {marker}\n")[1].split("// end")[0].split())
        expect(lines == tested, f"the Swift lines of a {marker}: {lines} {tested}")
    return [page]


def disk(page):
    page.run("() => { const { app, state } = window.stemwire; app.choose('nav', `@${state.detectors[0].id}/intensity`); }")
    shown = page.shown("nav")
    return shown and shown["run"].startswith("view-") and shown["generation"] == 2 and shown["final"] and shown["values"]


def start_python(text):
    lines = text.split("# Python")[1] + "\nimport sys, numpy\nnumpy.save(sys.stdout.buffer, numpy.ma.filled(image, 0))\n"
    environment = dict(os.environ, PYTHONPATH=str(ROOT / "tools/python/src"), MPLBACKEND="Agg")
    return subprocess.Popen([sys.executable, "-c", lines], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(process):
    out, err = process.communicate(timeout=60)
    expect(process.returncode == 0, err.decode()[-1000:])
    return np.load(io.BytesIO(out))


def python(text):
    return finish(start_python(text))


CONTROL_TESTS = [check_before_scan, history_of_the_server, keys_for_lines_and_places, copied_lines]
