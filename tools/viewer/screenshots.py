#!/usr/bin/env python3
"""Makes the pictures of the viewer's page that the README shows, from the synthetic scan.

    tools/viewer/screenshots [FOLDER]        default: tools/viewer/pictures
"""

import argparse
import pathlib

from browser import Page, browser
from servers import Bench, eventually
from steps import ended, of, scan

FOLDER = pathlib.Path(__file__).parent / "pictures"
SIZE = {"width": 1440, "height": 810}
SCAN = ["--nav-shape", 128, 128, "--dwelltime", 400]


def parameters(page, number, **values):
    page.run("([number, values]) => { const { app, state } = window.stemwire; app.detectors.change(state.detectors[number], values); }", [number, values])


def processed(page, count):
    eventually(f"{count} positions", lambda: of(page, "nav", "processed", 0) >= count, 120)


def live(page):
    """A scan in its course, with several virtual detectors, and one of them beside."""
    scan(page)
    eventually("a pattern", lambda: page.shown("sig"))
    for kind in ["ring", "disk", "rectangle"]:
        page.page.click(f'[data-add="{kind}"]')
    parameters(page, 0, ri=62, ro=100)
    parameters(page, 1, cy=98, cx=160, r=22)
    parameters(page, 2, y=176, x=60, height=34, width=52)
    page.run("() => { const { app, state } = window.stemwire; app.choose('nav', `@${state.detectors[0].id}/intensity`); app.choose('side', `@${state.detectors[1].id}/intensity`); }")
    page.page.click("summary:has-text('Workers')")
    processed(page, 9500)


def centre_of_mass(page):
    """The centre of mass as a colour wheel."""
    scan(page)
    eventually("a pattern", lambda: page.shown("sig"))
    page.page.click('[data-add="com"]')
    parameters(page, 0, r=60)
    ended(page)
    eventually("the field", lambda: of(page, "nav", "channel") == "field" and page.shown("nav")["final"])


def missing(page):
    """A scan with lost, repeated and damaged frames, and a pattern of one position."""
    scan(page)
    ended(page)
    page.page.mouse.click(*page.screen("nav", [40.5, 70.5]))
    eventually("its pattern", lambda: of(page, "sig", "position") is not None)
    page.page.mouse.move(*page.screen("nav", [24.5, 60.5]))


def history(page):
    """The acquisition before beside the present one, a line profile on both."""
    scan(page)
    ended(page)
    scan(page)
    ended(page, generation=2)
    page.page.click('#past button:has-text("Beside")')
    eventually("the acquisition before", lambda: of(page, "side", "generation") == 1)
    for name in ["nav", "side"]:
        page.run("(name) => { const pane = window.stemwire.panes[name]; pane.setMeasuring(true); pane.line = { from: { x: 10, y: 30 }, to: { x: 118, y: 92 } }; pane.drawOver(); }", name)


FAULTS = "drop-at=3000-3140+6000-6009+9000+12030-12040,duplicate-at=4500-4620+8000,wrong-length-at=10500-10530"
SCENES = [("live", live, []), ("dpc", centre_of_mass, []), ("missing", missing, ["--faults", FAULTS]), ("history", history, [])]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stemwire", required=True)
    parser.add_argument("--only", action="append", help="a scene; may be repeated")
    parser.add_argument("folder", nargs="?", type=pathlib.Path, default=FOLDER)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with browser() as chromium:
        for name, scene, more in SCENES:
            if options.only and name not in options.only:
                continue
            with Bench(options.stemwire, [options.stemwire, "view"]) as bench:
                bench.server(bench.detector("synthetic", *SCAN, *more))
                _, address = bench.viewer()
                page = Page(chromium, f"{address}#nav-unit=0.5,nm&sig-unit=0.4,mrad", SIZE)
                scene(page)
                page.page.wait_for_timeout(400)
                page.picture(options.folder, name)
                page.close()
            print(f"{options.folder / name}.png: {(options.folder / f'{name}.png').stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
