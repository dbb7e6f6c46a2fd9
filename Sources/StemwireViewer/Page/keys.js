// The keyboard: a key for everything that a pointer can do.

import { make } from "./pane.js";
import { keysOf, sources } from "./sources.js";

const HELP = [
  ["space", "pause the picture (the acquisition goes on)"], ["W", "scan: arm and trigger"], ["A  T  S  X", "arm, trigger, stop, abort"], ["Y", "detector settings"],
  ["D  G  H  P  O", "add a disk, ring, rectangle, point, centre of mass"],
  ["1  2  3", "go to the scan, the pattern, the image beside"],
  ["arrows", "move the selected detector (pattern) or the scan position (scan); shift: by ten"],
  ["+  −", "larger, smaller detector"], ["delete", "remove the selected detector"], ["N", "select the next detector"],
  ["V  Shift+V", "next, previous source of the image"], ["B", "show another image beside"], ["F", "Fourier transform beside"], ["I", "line profile"],
  ["M  L", "next colour map, next scale"], ["0  K", "automatic limits, lock limits"], ["[  ]", "lower, raise the upper limit; with shift the lower one"],
  ["Z  Shift+Z", "zoom in, out"], ["R", "show the whole image"], ["E  Shift+E", "save the image as PNG, as .npy"],
  ["C", "copy as code"], ["wheel, shift+drag, two fingers", "zoom, move the image"], ["?", "this list"],
];

const turn = (list, value, step = 1) => list[(list.indexOf(value) + step + list.length) % list.length];

// `app`: state, panes, looks, detectors, doing, active (pane name), choose, pause, copy, saveAs, moveBy, toggleSide, focus.
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
  const keys = {
    " ": () => app.pause(), w: () => doing.command("scan"), a: () => doing.command("arm"), t: () => doing.command("trigger"), s: () => doing.command("stop"),
    x: () => doing.command("abort"), y: () => doing.command("settings"),
    d: () => detectors.add("disk"), g: () => detectors.add("ring"), h: () => detectors.add("rectangle"), p: () => detectors.add("point"), o: () => detectors.add("com"),
    Delete: () => state.selected && detectors.remove(state.selected), Backspace: () => state.selected && detectors.remove(state.selected),
    1: () => app.focus("nav"), 2: () => app.focus("sig"), 3: () => app.focus("side"),
    n: () => detectors.selectNext(), v: () => nextSource(1), V: () => nextSource(-1), b: () => app.toggleSide(), f: () => app.toggleSide("fft"),
    i: () => pane().setMeasuring(!pane().isMeasuring),
    m: () => pane().setLook({ map: turn([...pane().map.options].map(({ value }) => value), looks[app.active].map) }),
    l: () => pane().setLook({ scale: turn(["linear", "log", "gamma"], looks[app.active].scale) }),
    0: () => pane().setLook({ locked: false }), k: () => pane().setLook({ locked: !looks[app.active].locked }),
    "[": () => nudge(1, -1), "]": () => nudge(1, 1), "{": () => nudge(0, -1), "}": () => nudge(0, 1),
    z: () => zoom(1.25), Z: () => zoom(0.8), r: () => { pane().fit(); pane().draw(); },
    "+": () => detectors.grow(1), "=": () => detectors.grow(1), "-": () => detectors.grow(-1),
    e: () => app.saveAs(app.active, "png"), E: () => app.saveAs(app.active, "npy"), c: () => app.copy(),
    "?": () => document.getElementById("help").showModal(),
  };
  document.addEventListener("keydown", (event) => {
    const element = event.target;
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (element.closest("input, select, textarea") || (element.closest("button, summary") && [" ", "Enter"].includes(event.key))) return;
    if (event.key.startsWith("Arrow")) {
      if (!element.closest(".stage") && element !== document.body) return;
      event.preventDefault();
      const step = event.shiftKey ? 10 : 1;
      const [dy, dx] = { ArrowUp: [-step, 0], ArrowDown: [step, 0], ArrowLeft: [0, -step], ArrowRight: [0, step] }[event.key];
      return app.moveBy(dy, dx);
    }
    const action = keys[event.key] ?? keys[event.key.toLowerCase()];
    if (!action) return;
    event.preventDefault();
    action();
  });
  document.getElementById("help").append(make("h2", { text: "Keys" }),
    make("dl", {}, ...HELP.flatMap(([key, text]) => [make("dt", { text: key }), make("dd", { text })])),
    make("form", { method: "dialog" }, make("button", { text: "Close" })));
}
