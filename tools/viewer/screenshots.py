#!/usr/bin/env python3
"""Makes the pictures of the viewer's page that the README shows, from the synthetic scan.

    tools/viewer/screenshots [FOLDER]        default: tools/viewer/pictures
"""

import argparse
import pathlib
import tempfile

from browser import Page, browser
from servers import Bench, eventually
from steps import ended, of, scan

FOLDER = pathlib.Path(__file__).parent / "pictures"
SIZE = {"width": 1440, "height": 810}
SCAN = ["--nav-shape", 96, 96, "--dwelltime", 1000]


def processed(page, count):
    eventually(f"{count} positions", lambda: of(page, "nav", "processed", 0) >= count, 120)


def live(page):
    """A scan in its course, with several virtual detectors, and one of them beside."""
    scan(page)
    page.page.click("summary:has-text('Workers')")
    processed(page, 5300)


def centre_of_mass(page):
    """The centre of mass as a colour wheel."""
    scan(page)
    ended(page)
    eventually("the field", lambda: of(page, "nav", "channel") == "field" and page.shown("nav")["final"])


def missing(page):
    """A scan with lost, repeated and damaged frames, and a pattern of one position."""
    scan(page)
    ended(page)
    page.page.mouse.click(*page.screen("nav", [30.5, 52.5]))
    eventually("its pattern", lambda: of(page, "sig", "position") is not None)
    page.page.mouse.move(*page.screen("nav", [21.5, 40.5]))


def history(page):
    """The acquisition before beside the present one, a line profile on both."""
    scan(page)
    ended(page)
    scan(page)
    ended(page, generation=2)
    page.page.click('#past button:has-text("Beside")')
    eventually("the acquisition before", lambda: of(page, "side", "generation") == 1)
    for name in ["nav", "side"]:
        page.run("(name) => { const pane = window.stemwire.panes[name]; pane.setMeasuring(true); pane.line = { from: { x: 8, y: 22 }, to: { x: 88, y: 68 } }; pane.drawOver(); }", name)


FAULTS = "drop-at=2000-2140+4200-4209+6000+8030-8040,duplicate-at=3300-3420+5500,wrong-length-at=7100-7130"
DETECTORS = "d=ring1,ring,cy=128,cx=128,ri=62,ro=100&d=disk1,disk,cy=98,cx=160,r=22&d=rect1,rectangle,y=176,x=60,height=34,width=52&nav=@ring1/intensity&side=@disk1/intensity&"
FIELD = "d=com1,com,cy=128,cx=128,r=60,scan_rotation=0,flip_y=false&nav=@com1/field&"
# Name, what is done, the view in the address, options of the simulated detector.
SCENES = [
    ("live", live, DETECTORS, []), ("dpc", centre_of_mass, FIELD, []), ("missing", missing, "", ["--faults", FAULTS]), ("history", history, "", []),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stemwire", required=True)
    parser.add_argument("--only", action="append", help="a scene; may be repeated")
    parser.add_argument("folder", nargs="?", type=pathlib.Path, default=FOLDER)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with browser() as chromium, tempfile.TemporaryDirectory() as folder:
        for name, scene, view, more in SCENES:
            if options.only and name not in options.only:
                continue
            with Bench(options.stemwire, [options.stemwire, "view"]) as bench:
                bench.server(bench.detector("synthetic", *SCAN, *more), "--history", f"{folder}/{name}.sqlite", "--ring", 1500)
                _, address = bench.viewer()
                page = Page(chromium, f"{address}#{view}nav-unit=0.5,nm&sig-unit=0.4,mrad", SIZE)
                scene(page)
                page.page.wait_for_timeout(400)
                page.picture(options.folder, name)
                page.close()
            print(f"{options.folder / name}.png: {(options.folder / f'{name}.png').stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
