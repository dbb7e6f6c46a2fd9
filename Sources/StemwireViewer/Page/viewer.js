// The viewer: what is shown, what is asked for, and who is told.

import { read, written } from "./address.js";
import { Connection } from "./connection.js";
import { code, npy, png, save } from "./export.js";
import { make, Pane } from "./pane.js";
import { loadColours } from "./picture.js";
import { clamped, COLOURS, drawShape, fresh, grab, LABELS, NUMBERS } from "./shapes.js";
import { ownChannels, request, sources } from "./sources.js";
import { Trust } from "./trust.js";

const $ = (id) => document.getElementById(id);
const LOOK = { map: "viridis", scale: "linear", gamma: 0.5, locked: false, limits: [0, 1], rotation: 0, flip: false };
const KEYS = [
  ["space", "pause the picture (the acquisition goes on)"], ["A  T  S  X", "arm, trigger, stop, abort"],
  ["D  G  H  P  O", "add a disk, ring, rectangle, point, centre of mass"],
  ["tab / arrows", "choose an image; move the selected detector (pattern) or the scan position (scan); shift: by ten"],
  ["+  −", "larger, smaller detector"], ["delete", "remove the selected detector"], ["N", "select the next detector"],
  ["V  Shift+V", "next source of the scan, of the pattern"], ["M  L", "next colour map, next scale"],
  ["0  K", "automatic limits, lock limits"], ["R", "show the whole image"], ["E  Shift+E", "save the image as PNG, as .npy"],
  ["C", "copy as code"], ["wheel, shift+drag", "zoom, move the image"], ["?", "this list"],
];

const state = {
  nav: "", sig: "", position: null, detectors: [], selected: null, isPaused: false, message: null, isOpen: false, reason: "",
  shown: { nav: null, sig: null }, receivedAt: 0, channels: [], shape: null, commands: 0, isStale: false,
};
const looks = { nav: { ...LOOK }, sig: { ...LOOK, scale: "log", map: "inferno" } };
const trust = new Trust();
const panes = {};
// Whether somebody has said what a pane is to show; else it is the usual channel.
const isChosen = { nav: false, sig: false };
let connection = null, active = "nav", held = null, mapGeneration = 0;

// MARK: Sources

function showSources() {
  for (const name of ["nav", "sig"]) {
    const list = sources(state, name), select = panes[name].source;
    if (!isChosen[name]) {
      // Channels come one after the other: the usual one takes the place of the first that was there.
      const wanted = { nav: "/sumsig/", sig: "/sum/" }[name];
      const first = list.find(({ key }) => key.includes(wanted)) ?? list.find(({ key }) => /^[^@#]/.test(key));
      if (first) choose(name, first.key, false);
    }
    if (state[name] && !list.some(({ key }) => key === state[name])) list.push({ key: state[name], text: `${state[name].replaceAll("/", " · ")} (not there)` });
    if (!list.length) list.push({ key: "", text: "no channel yet" });
    const text = JSON.stringify(list);
    if (select.dataset.list !== text) {
      select.dataset.list = text;
      select.replaceChildren(...list.map(({ key, text }) => make("option", { value: key, text })));
    }
    select.value = state[name];
  }
}

function choose(name, key, isUser = true) {
  isChosen[name] ||= isUser;
  if (state[name] === key) return;
  state[name] = key;
  if (isUser) showSources();
  tellView();
  remember();
}

function tellView() {
  const wanted = state.isPaused ? [] : ["nav", "sig"].map((name) => request(state, name)).filter(Boolean);
  connection?.send({ type: "view", panes: wanted });
}

// MARK: Messages

function took(message) {
  const now = performance.now();
  state.message = message;
  state.channels = message.channels;
  state.receivedAt = now;
  document.body.classList.toggle("look", !message.viewer.mayControl);
  const shape = message.acquisition?.sigShape;
  if (shape) state.shape = shape;
  for (const answer of message.answers) trust.note(answer.text, answer.done ? "done" : "error");
  for (const notice of message.notices) trust.note(notice.text, notice.severity);
  showSources();
  let hasDrawn = false;
  for (const told of state.isPaused ? [] : message.panes) {
    if (told.pane !== "nav" && told.pane !== "sig") continue;
    if (!told.data) {
      // Until the new source has something, the picture before stays: unless it is of another acquisition.
      const isOther = state.shown[told.pane]?.generation !== message.acquisition?.generation || state.shown[told.pane]?.key !== state[told.pane];
      if (isOther) {
        state.shown[told.pane] = null;
        panes[told.pane].show(null, told.problem);
      }
      continue;
    }
    told.receivedAt = now;
    told.key = state[told.pane];
    state.shown[told.pane] = told;
    panes[told.pane].show(told);
    hasDrawn = true;
    if (told.pane === "sig") state.shape = told.shape.slice(0, 2);
  }
  if (hasDrawn) trust.drew();
  if (state.shown.nav?.map && state.shown.nav.version !== mapGeneration) {
    mapGeneration = state.shown.nav.version;
    trust.showMap(state.shown.nav);
  }
  takeDetectors(message.detectors);
  showState();
}

function showState() {
  const { message } = state, nav = state.shown.nav;
  trust.showLink(state.isOpen, state.reason, message);
  if (!message) return;
  const ageMs = nav ? nav.ageMs + performance.now() - nav.receivedAt : null;
  trust.show(message, { nav, ageMs, isPaused: state.isPaused });
  const server = message.server.state, can = state.isOpen && message.link.state === "connected";
  const allowed = { arm: server === "idle", trigger: server === "armed", stop: ["armed", "acquiring"].includes(server), abort: ["armed", "acquiring"].includes(server) };
  for (const button of document.querySelectorAll("[data-command]")) button.disabled = !can || !allowed[button.dataset.command];
  const isDim = !state.isOpen || message.link.state !== "connected";
  for (const name of ["nav", "sig"]) panes[name].root.dataset.stale = String(isDim);
}

// MARK: Virtual detectors

const find = (id) => state.detectors.find((detector) => detector.id === id);

function colourFor() {
  return COLOURS.find((colour) => !state.detectors.some((detector) => detector.colour === colour)) ?? COLOURS[0];
}

function addDetector(udf, id = null, parameters = null) {
  if (!id && (!state.shape || state.message?.viewer.mayControl === false)) {
    return trust.note(state.shape ? "This viewer may look only." : "There is no pattern yet: a virtual detector needs its shape.", "warning");
  }
  if (state.detectors.length === COLOURS.length) return trust.note(`A page has at most ${COLOURS.length} virtual detectors.`, "warning");
  const name = `${LABELS[udf]} ${state.detectors.reduce((most, { name }) => Math.max(most, Number(name.split(" ").at(-1)) || 0), 0) + 1}`;
  const made = {
    id: id ?? `${udf[0]}${Math.random().toString(36).slice(2, 8)}`, udf, name, colour: colourFor(), problem: "",
    parameters: parameters ?? fresh(udf, state.shape),
  };
  state.detectors.push(made);
  state.selected = made.id;
  tellDetector(made);
  if (!id) choose("nav", `@${made.id}/${ownChannels(made)[0]}`);
  listDetectors();
  panes.sig.drawOver();
  remember();
}

function removeDetector(id) {
  connection.send({ type: "dropDetector", id });
  state.detectors = state.detectors.filter((detector) => detector.id !== id);
  if (state.selected === id) state.selected = state.detectors.at(-1)?.id ?? null;
  if (state.nav.startsWith(`@${id}/`)) isChosen.nav = false;
  showSources();
  tellView();
  listDetectors();
  panes.sig.drawOver();
  remember();
}

function tellDetector({ id, udf, parameters }) {
  const finite = Object.fromEntries(Object.entries(parameters).filter(([, value]) => value !== null));
  connection?.send({ type: "detector", id, udf, parameters: finite });
}

function changeDetector(detector, change) {
  const parameters = clamped(detector.udf, { ...detector.parameters, ...change }, state.shape ?? [1 << 16, 1 << 16]);
  if (JSON.stringify(parameters) === JSON.stringify(detector.parameters)) return;
  detector.parameters = parameters;
  panes.sig.drawOver();
  showNumbers(detector);
  tellDetector(detector);
  remember();
}

// What the viewer says of the detectors: problems, and what another page made of them.
function takeDetectors(told) {
  for (const { id, parameters, problem } of told) {
    const detector = find(id);
    if (!detector) continue;
    if (detector.problem !== (problem ?? "")) {
      detector.problem = problem ?? "";
      listDetectors();
    }
    detector.told = parameters;
  }
}

function listDetectors() {
  $("no-detectors").hidden = state.detectors.length > 0;
  $("detectors").replaceChildren(...state.detectors.map((detector) => {
    const numbers = NUMBERS[detector.udf].map((name) => make("label", {}, name,
      make("input", { type: "number", step: "any", "data-name": name, "aria-label": `${detector.name}: ${name}`,
        onchange: (event) => changeDetector(detector, { [name]: Number(event.target.value) || 0 }) })));
    if (detector.udf === "com") {
      numbers.push(make("label", {}, make("input", { type: "checkbox", "aria-label": `${detector.name}: flip y`, checked: detector.parameters.flip_y,
        onchange: (event) => changeDetector(detector, { flip_y: event.target.checked }) }), "flip y"));
    }
    const item = make("li", { "data-id": detector.id, "aria-current": String(detector.id === state.selected) },
      make("div", { class: "top" },
        make("strong", { text: detector.name, onclick: () => select(detector.id) }),
        make("button", { type: "button", text: "Show", "aria-label": `Show ${detector.name}`, onclick: () => choose("nav", `@${detector.id}/${ownChannels(detector)[0]}`) }),
        make("button", { type: "button", text: "×", "aria-label": `Remove ${detector.name}`, onclick: () => removeDetector(detector.id) })),
      make("div", { class: "numbers" }, ...numbers));
    if (detector.problem) item.append(make("p", { class: "problem", text: detector.problem, role: "alert" }));
    item.style.borderLeftColor = detector.colour;
    return item;
  }));
  for (const detector of state.detectors) showNumbers(detector);
}

function showNumbers(detector) {
  for (const input of document.querySelectorAll(`#detectors [data-id="${CSS.escape(detector.id)}"] [data-name]`)) {
    if (input !== document.activeElement) input.value = detector.parameters[input.dataset.name];
  }
}

function select(id) {
  state.selected = id;
  listDetectors();
  panes.sig.drawOver();
}

// MARK: Pointer and keys

const sigHooks = {
  drawOver: (context, pane) => {
    for (const detector of state.detectors) drawShape(context, pane, detector, detector.id === state.selected);
  },
  title: (told) => `${told.shape.join(" × ")} · ${told.sourceDtype}${told.position === undefined ? "" : ` · frame ${told.position}`}`,
  onSource: (key) => choose("sig", key),
  onLook: () => remember(),
  onSave: (format) => saveAs("sig", format),
  down: (at, screen) => {
    active = "sig";
    held = grab(state.detectors, state.selected, at, panes.sig);
    if (held && held.detector.id !== state.selected) select(held.detector.id);
    return Boolean(held);
  },
  move: (at, screen, isDragging) => {
    if (isDragging && held) {
      const change = held.handle.drag(at, held.offset);
      changeDetector(held.detector, change);
    } else {
      panes.sig.over.style.cursor = grab(state.detectors, state.selected, at, panes.sig)?.handle.cursor ?? "crosshair";
    }
  },
  up: () => { held = null; },
};

const navHooks = {
  drawOver: (context, pane) => {
    if (state.sig !== "#" || state.position === null || !pane.content) return;
    const ratio = window.devicePixelRatio || 1, { columns } = pane.content;
    const at = pane.toScreen((state.position % columns) + 0.5, Math.floor(state.position / columns) + 0.5);
    const arm = Math.max(pane.pixelSize / 2, 4 * ratio);
    for (const [width, style] of [[4, "#000c"], [1.6, "#fff"]]) {
      context.lineWidth = width * ratio;
      context.strokeStyle = style;
      context.strokeRect(at.x - arm, at.y - arm, 2 * arm, 2 * arm);
    }
  },
  title: (told) => `${told.navShape.join(" × ")} · ${told.positionsText ?? `${Math.floor((100 * told.processed) / Math.max(1, told.expected))} %`}${told.final ? " · final" : ""}`,
  onSource: (key) => choose("nav", key),
  onLook: () => remember(),
  onSave: (format) => saveAs("nav", format),
  down: (at) => { active = "nav"; return pick(at); },
  move: (at, screen, isDragging) => { if (isDragging) pick(at); },
  up: () => {},
};

// Shows the pattern of a scan position.
function pick({ x, y }) {
  const content = panes.nav.content;
  const [column, row] = [Math.floor(x), Math.floor(y)];
  if (!content || row < 0 || column < 0 || row >= content.rows || column >= content.columns) return false;
  setPosition(row * content.columns + column);
  return true;
}

function setPosition(position) {
  if (state.position === position && state.sig === "#") return;
  state.position = position;
  state.sig = "#";
  isChosen.sig = true;
  showSources();
  tellView();
  panes.nav.drawOver();
  remember();
}

function arrows(event) {
  const step = event.shiftKey ? 10 : 1;
  const [dy, dx] = { ArrowUp: [-step, 0], ArrowDown: [step, 0], ArrowLeft: [0, -step], ArrowRight: [0, step] }[event.key];
  if (active === "sig") {
    const detector = find(state.selected);
    if (!detector) return;
    const { parameters: p } = detector;
    changeDetector(detector, detector.udf === "rectangle" ? { y: p.y + dy, x: p.x + dx } : { cy: p.cy + dy, cx: p.cx + dx });
  } else if (panes.nav.content) {
    const { rows, columns } = panes.nav.content, now = state.position ?? Math.floor(rows / 2) * columns + Math.floor(columns / 2);
    const row = Math.min(Math.max(Math.floor(now / columns) + dy, 0), rows - 1);
    const column = Math.min(Math.max((now % columns) + dx, 0), columns - 1);
    setPosition(row * columns + column);
  }
}

function grow(step) {
  const detector = find(state.selected), p = detector?.parameters;
  if (!detector || detector.udf === "point") return;
  if (detector.udf === "ring") changeDetector(detector, { ri: p.ri + step, ro: p.ro + step });
  else if (detector.udf === "rectangle") changeDetector(detector, { height: p.height + step, width: p.width + step });
  else changeDetector(detector, { r: p.r + step });
}

const next = (list, value) => list[(list.indexOf(value) + 1) % list.length];

function nextSource(name) {
  const keys = sources(state, name).map(({ key }) => key);
  if (keys.length) choose(name, next(keys, state[name]));
}

const keys = {
  " ": () => pause(), a: () => command("arm"), t: () => command("trigger"), s: () => command("stop"), x: () => command("abort"),
  d: () => addDetector("disk"), g: () => addDetector("ring"), h: () => addDetector("rectangle"), p: () => addDetector("point"), o: () => addDetector("com"),
  Delete: () => state.selected && removeDetector(state.selected), Backspace: () => state.selected && removeDetector(state.selected),
  n: () => state.detectors.length && select(next(state.detectors.map(({ id }) => id), state.selected)),
  v: () => nextSource("nav"), V: () => nextSource("sig"),
  m: () => panes[active].setLook({ map: next([...panes[active].map.options].map(({ value }) => value), looks[active].map) }),
  l: () => panes[active].setLook({ scale: next(["linear", "log", "gamma"], looks[active].scale) }),
  0: () => panes[active].setLook({ locked: false }), k: () => panes[active].setLook({ locked: !looks[active].locked }),
  r: () => { panes[active].fit(); panes[active].draw(); }, "+": () => grow(1), "=": () => grow(1), "-": () => grow(-1),
  e: () => saveAs(active, "png"), E: () => saveAs(active, "npy"), c: () => copy(), "?": () => $("help").showModal(),
};

function onKey(event) {
  const element = event.target;
  if (event.ctrlKey || event.metaKey || event.altKey || $("help").open) return;
  if (element.closest("input, select, textarea") || (element.closest("button") && [" ", "Enter"].includes(event.key))) return;
  if (event.key.startsWith("Arrow")) {
    if (!element.closest(".stage") && element !== document.body) return;
    event.preventDefault();
    return arrows(event);
  }
  const action = keys[event.key] ?? keys[event.key.toLowerCase()];
  if (!action) return;
  event.preventDefault();
  action();
}

// MARK: Doing

function command(name) {
  const button = document.querySelector(`[data-command="${name}"]`);
  if (button.disabled) return;
  const message = { type: "command", id: ++state.commands, name };
  const shape = [Number($("scan-rows").value), Number($("scan-columns").value)];
  if (name === "arm" && shape[0] > 0 && shape[1] > 0) message.navShape = shape;
  connection.send(message);
}

function pause() {
  state.isPaused = !state.isPaused;
  $("pause").setAttribute("aria-pressed", String(state.isPaused));
  $("pause").textContent = state.isPaused ? "Resume" : "Pause";
  for (const name of ["nav", "sig"]) panes[name].root.dataset.paused = String(state.isPaused);
  tellView();
  showState();
}

async function saveAs(name, format) {
  const told = state.shown[name], file = told && `${told.udf}.${told.channel}.${format}`;
  if (!told) return trust.note("There is nothing to save yet.", "warning");
  if (format === "png") return save(await png(panes[name]), file);
  if (format === "npy") return save(npy(told.values, told.dtype, told.shape), file);
  const answer = await fetch(`snap/${told.run}/${file}`);
  if (answer.ok) save(await answer.blob(), file);
  else trust.note(`Not saved: ${(await answer.text()).trim()}`, "error");
}

async function copy() {
  // A server that the viewer reaches on its own machine is reached from elsewhere by the page's host.
  const endpoint = (state.message?.server.endpoint ?? "tcp://127.0.0.1:7400").replace(/127\.0\.0\.1|localhost/, location.hostname);
  const text = code(state.shown.nav, state.detectors, endpoint);
  try {
    await navigator.clipboard.writeText(text);
    trust.note("Copied: the lines that give this view.", "done");
  } catch {
    trust.note("The browser does not let this page write to the clipboard.", "warning");
  }
  return text;
}

// MARK: The view in the address

let remembering = 0;
function remember() {
  clearTimeout(remembering);
  remembering = setTimeout(() => history.replaceState(null, "", location.search + written({ ...state, isChosen, looks })), 200);
}

function recall() {
  const view = read(location.hash);
  for (const name of ["nav", "sig"]) {
    state[name] = view[name];
    isChosen[name] = view[name] !== "";
    Object.assign(looks[name], view.looks[name]);
  }
  state.position = view.position;
  for (const { id, udf, parameters } of view.detectors) if (!find(id)) addDetector(udf, id, parameters);
}

// MARK: Beginning

async function begin() {
  await loadColours();
  panes.nav = new Pane($("nav"), "nav", looks.nav, navHooks);
  panes.sig = new Pane($("sig"), "sig", looks.sig, sigHooks);
  recall();
  for (const name of ["nav", "sig"]) {
    panes[name].showLook();
    panes[name].root.addEventListener("focusin", () => { active = name; });
  }
  listDetectors();
  trust.showMap(null);
  $("pause").onclick = pause;
  $("copy").onclick = copy;
  $("help-open").onclick = () => $("help").showModal();
  $("help").append(make("h2", { text: "Keys" }), make("dl", {}, ...KEYS.flatMap(([key, text]) => [make("dt", { text: key }), make("dd", { text })])),
    make("form", { method: "dialog" }, make("button", { text: "Close" })));
  for (const button of document.querySelectorAll("[data-command]")) button.onclick = () => command(button.dataset.command);
  for (const button of document.querySelectorAll("[data-add]")) button.onclick = () => addDetector(button.dataset.add);
  document.addEventListener("keydown", onKey);
  const address = new URL("live", location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  address.hash = address.search = "";
  connection = new Connection(address.href, {
    onMessage: took,
    onOpen: () => {
      for (const detector of state.detectors) tellDetector(detector);
      tellView();
    },
    onLink: (isOpen, reason) => {
      Object.assign(state, { isOpen, reason });
      if (!isOpen) mapGeneration = 0;
      showState();
    },
  });
  setInterval(showState, 250);
}

// For tests and for the curious: what is shown, and how.
window.stemwire = { state, panes, looks, trust, copy };
begin();
