"""What the tests and the screenshots of the viewer's page do again and again."""

import io
import pathlib

import numpy as np

from browser import get
from servers import eventually

TABLES = pathlib.Path(__file__).parents[2] / "Sources/StemwirePictures/Tables/colourmaps.bin"
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


def ended(page, generation=1, limit=90):
    def ask():
        told = page.run("window.stemwire.state.message?.acquisition")
        shown = page.shown("nav")
        return told and told["generation"] == generation and told.get("endReason") and shown and shown["final"] and told

    return eventually("the end of the acquisition", ask, limit)
