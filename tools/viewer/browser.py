"""A headless Chromium with the viewer's page in it."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import urllib.parse
import urllib.request

from playwright.sync_api import sync_playwright

from servers import eventually

# What drawing without a GPU and running as any user take.
CHROMIUM_OPTIONS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
SIZE = {"width": 1280, "height": 720}
# A folder whose scripts and styles take the place of the program's own, to try a change without building.
OWN_PAGE = os.environ.get("VIEWER_PAGE")


def get(address):
    with urllib.request.urlopen(address, timeout=10) as answer:
        return answer.read()


def status(address):
    return json.loads(get(address + "status"))


@contextlib.contextmanager
def browser():
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if not path:
        raise SystemExit("chromium is missing: apt-get install chromium, or name it in CHROMIUM")
    with sync_playwright() as engine:
        running = engine.chromium.launch(executable_path=path, args=CHROMIUM_OPTIONS)
        yield running
        running.close()


def own_page(route):
    route.fulfill(path=pathlib.Path(OWN_PAGE) / urllib.parse.urlsplit(route.request.url).path.lstrip("/"))


class Page:
    """The viewer's page, with what tests want to know of it."""

    def __init__(self, browser, address, size=None):
        self.faults = []
        self.context = browser.new_context(viewport=size or SIZE)
        if OWN_PAGE:
            self.context.route(re.compile(r"/[a-z]+\.(js|css)$"), own_page)
        self.page = self.context.new_page()
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", lambda message: self.console(message))
        self.page.goto(address)
        eventually("the page's script", lambda: self.run("window.stemwire?.panes.sig ? true : false"))

    def console(self, message):
        # A viewer that is away on purpose makes the browser complain.
        if message.type == "error" and "WebSocket connection" not in message.text:
            self.faults.append(message.text)

    def run(self, expression, argument=None):
        return self.page.evaluate(expression, argument)

    def text(self, selector):
        return self.page.inner_text(selector)

    def shown(self, pane):
        """What a pane shows: name, shape and numbers; None for nothing."""
        return self.run(
            """(name) => { const told = window.stemwire.state.shown[name]; return told && {
                udf: told.udf, channel: told.channel, run: told.run, shape: told.shape, final: told.final,
                generation: told.generation, processed: told.processed, position: told.position, kind: told.kind,
                parameters: told.parameterGeneration, seams: told.seams,
                values: Array.from(told.values), map: told.map ? Array.from(told.map) : null }; }""", pane)

    def draws(self, pane, mapping):
        """Compares each pixel of the canvas with the colour that its number has; returns the number of image pixels
        looked at, and those that differ."""
        return self.run(
            """async ([name, table]) => {
                const pane = window.stemwire.panes[name], { content, look, canvas } = pane;
                pane.fit(); pane.draw();
                const copy = document.createElement("canvas");
                copy.width = canvas.width; copy.height = canvas.height;
                const context = copy.getContext("2d");
                context.drawImage(canvas, 0, 0);
                const pixels = context.getImageData(0, 0, copy.width, copy.height).data;
                const wrong = [];
                for (let row = 0; row < content.rows; row++) for (let column = 0; column < content.columns; column++) {
                    const at = pane.toScreen(column + 0.5, row + 0.5), index = row * content.columns + column;
                    const start = 4 * (Math.floor(at.y) * copy.width + Math.floor(at.x));
                    const seen = Array.from(pixels.subarray(start, start + 3));
                    if (content.coverage && content.coverage[index] !== 1) continue;
                    const [low, high] = look.limits, value = content.values[index];
                    let share = look.scale === "log" ? Math.log1p(Math.max(0, value - low)) / Math.log1p(high - low) : (value - low) / (high - low);
                    share = Math.min(Math.max(share, 0), 1) * 255;
                    // Single precision may round the other way.
                    const near = [Math.floor(share + 0.49), Math.floor(share + 0.51)].map((entry) => table[Math.min(255, entry)]);
                    if (!near.some((colour) => colour.every((part, index) => Math.abs(part - seen[index]) <= 1))) wrong.push([row, column, value, seen, near[0]]);
                }
                return { count: content.rows * content.columns, wrong: wrong.slice(0, 5), wrongCount: wrong.length };
            }""", [pane, mapping])

    def drag(self, pane, start, end, steps=8):
        """Drags on a pane's picture, from one image point (y, x) to another."""
        points = [self.screen(pane, point) for point in (start, end)]
        self.page.mouse.move(*points[0])
        self.page.mouse.down()
        self.page.mouse.move(*points[1], steps=steps)
        self.page.mouse.up()

    def screen(self, pane, point):
        return self.run(
            """([name, [y, x]]) => { const pane = window.stemwire.panes[name], box = pane.over.getBoundingClientRect();
                const at = pane.toScreen(x, y), ratio = box.width / pane.over.width;
                return [box.left + at.x * ratio, box.top + at.y * ratio]; }""", [pane, point])

    def picture(self, folder, name):
        if folder:
            pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=f"{folder}/{name}.png")

    def close(self):
        self.context.close()
