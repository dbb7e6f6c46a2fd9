// The keyboard: a key for everything that a pointer can do.

import { $, make } from "./dom.js";
import { keysOf, sources } from "./sources.js";

const HELP = [
  ["space", "pause the picture (the acquisition goes on)"], ["W", "scan: check, then arm and trigger"], ["A  T  S  X", "arm, trigger, stop, abort"], ["Y", "detector settings"],
  ["D  G  H  P  O", "add a disk, ring, rectangle, point, centre of mass"],
  ["1  2  3", "go to the scan, the pattern, the image beside"],
  ["arrows", "move the selected detector (pattern), the scan position (scan), the line of a profile, or the place whose value is told; shift: by ten"],
  ["J", "arrows move the whole line, its end, its beginning"], ["Esc", "select no detector"],
  ["+  −", "larger, smaller detector"], ["delete", "remove the selected detector"], ["N", "select the next detector"],
  ["V  Shift+V", "next, previous source of the image"], ["B", "show another image beside"], ["F", "Fourier transform beside"], ["I", "line profile"],
  ["M  L", "next colour map, next scale"], ["0  K", "automatic limits, lock limits"], ["[  ]", "lower, raise the upper limit; with shift the lower one"],
  ["Z  Shift+Z", "zoom in, out"], ["Ctrl+arrows", "move the image"], ["R", "show the whole image"], ["E  Shift+E", "save the image as PNG, as .npy"],
  ["C", "copy as code"], ["wheel, shift+drag, two fingers", "zoom, move the image"], ["?", "this list"],
];

const turn = (list, value, step = 1) => list[(list.indexOf(value) + step + list.length) % list.length];

// `app`: state, panes, looks, detectors, doing, active (pane name), choose, pause, copy, saveAs, places, toggleSide, focus.
export function listenToKeys(app) {
  const { panes, looks, state, detectors, doing } = app;
  const pane = () => panes[app.active];
  const nextSource = (step) => {
    const keys = keysOf(sources(state, app.active));
    if (keys.length) app.choose(app.active, turn(keys, state[app.active], step));
  };
  const nudge = (which, step) => {
    const limits = [...pane().look.limits];
    limits[which] += step * 0.02 * (pane().range ? pane().range.high - pane().range.low : limits[1] - limits[0]);
    if (limits[1] > limits[0]) pane().setLook({ locked: true, limits });
  };
  const zoom = (factor) => pane().zoom(factor, pane().canvas.width / 2, pane().canvas.height / 2);
  const pan = (key) => {
    const { canvas, view } = pane(), [x, y] = { ArrowUp: [0, 0.1], ArrowDown: [0, -0.1], ArrowLeft: [0.1, 0], ArrowRight: [-0.1, 0] }[key];
    pane().pan(view, x * canvas.width, y * canvas.height);
  };
  const keys = {
    " ": () => app.pause(), w: () => doing.command("scan"), a: () => doing.command("arm"), t: () => doing.command("trigger"), s: () => doing.command("stop"),
    x: () => doing.command("abort"), y: () => doing.command("settings"),
    d: () => detectors.add("disk"), g: () => detectors.add("ring"), h: () => detectors.add("rectangle"), p: () => detectors.add("point"), o: () => detectors.add("com"),
    Delete: () => state.selected && detectors.remove(state.selected), Backspace: () => state.selected && detectors.remove(state.selected),
    1: () => app.focus("nav"), 2: () => app.focus("sig"), 3: () => app.focus("side"),
    n: () => detectors.selectNext(), v: () => nextSource(1), V: () => nextSource(-1), b: () => app.toggleSide(), f: () => app.toggleSide("fft"),
    i: () => pane().setMeasuring(!pane().isMeasuring), j: () => { pane().heldEnd = turn(["both", "to", "from"], pane().heldEnd); },
    Escape: () => detectors.select(null),
    m: () => pane().setLook({ map: turn([...pane().map.options].map(({ value }) => value), looks[app.active].map) }),
    l: () => pane().setLook({ scale: turn(["linear", "log", "gamma"], looks[app.active].scale) }),
    0: () => pane().setLook({ locked: false }), k: () => pane().setLook({ locked: !looks[app.active].locked }),
    "[": () => nudge(1, -1), "]": () => nudge(1, 1), "{": () => nudge(0, -1), "}": () => nudge(0, 1),
    z: () => zoom(1.25), Z: () => zoom(0.8), r: () => { pane().fit(); pane().draw(); },
    "+": () => detectors.grow(1), "=": () => detectors.grow(1), "-": () => detectors.grow(-1),
    e: () => app.saveAs(app.active, "png"), E: () => app.saveAs(app.active, "npy"), c: () => app.copy(),
    "?": () => $("help").showModal(),
  };
  document.addEventListener("keydown", (event) => {
    const element = event.target, isArrow = event.key.startsWith("Arrow");
    if ((event.ctrlKey && !isArrow) || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (element.closest("input, select, textarea") || (element.closest("button, summary") && [" ", "Enter"].includes(event.key))) return;
    if (isArrow) {
      if (!element.closest(".stage") && element !== document.body) return;
      event.preventDefault();
      if (event.ctrlKey) return pan(event.key);
      const step = event.shiftKey ? 10 : 1;
      const [dy, dx] = { ArrowUp: [-step, 0], ArrowDown: [step, 0], ArrowLeft: [0, -step], ArrowRight: [0, step] }[event.key];
      return app.places.moveBy(dy, dx);
    }
    const action = keys[event.key] ?? keys[event.key.toLowerCase()];
    if (!action) return;
    event.preventDefault();
    action();
  });
  $("help").append(make("h2", { text: "Keys" }),
    make("dl", {}, ...HELP.flatMap(([key, text]) => [make("dt", { text: key }), make("dd", { text })])),
    make("form", { method: "dialog" }, make("button", { text: "Close" })));
}
