// The viewer: what is shown, what is asked for, and who is told.

import { read, written } from "./address.js";
import { Connection } from "./connection.js";
import { Detectors } from "./detectors.js";
import { Doing } from "./doing.js";
import { code, npy, png, save, tiff } from "./export.js";
import { period, transformOf } from "./fourier.js";
import { listenToKeys } from "./keys.js";
import { magnitudes } from "./levels.js";
import { make, Pane } from "./pane.js";
import { listPast } from "./past.js";
import { loadColours } from "./picture.js";
import { Role } from "./role.js";
import { drawScaleBar, lengthText } from "./scale.js";
import { describeSeam, drawSeams } from "./seams.js";
import { drawShape, grab } from "./shapes.js";
import { keysOf, ownChannels, request, sources } from "./sources.js";
import { Trust } from "./trust.js";

const $ = (id) => document.getElementById(id);
const NAMES = ["nav", "sig", "side"];
const LOOK = { map: "viridis", scale: "linear", gamma: 0.5, locked: false, limits: [0, 1], rotation: 0, flip: false };
// The transform of a scan that goes on is made so often at most, milliseconds.
const TRANSFORM_PAUSE = 150;

const state = {
  nav: "", sig: "", side: "", position: null, detectors: [], selected: null, isPaused: false, message: null, isOpen: false, reason: "",
  shown: { nav: null, sig: null, side: null }, channels: [], past: [], shape: null,
  units: { nav: { size: 0, unit: "nm" }, sig: { size: 0, unit: "mrad" } },
};
const looks = { nav: { ...LOOK }, sig: { ...LOOK, scale: "log", map: "inferno" }, side: { ...LOOK } };
const trust = new Trust();
const role = new Role(() => connection?.again());
const panes = {};
// Whether somebody has said what a pane is to show; else it is the usual channel.
const isChosen = { nav: false, sig: false, side: false };
let connection = null, held = null, mapVersion = 0, transformedAt = 0;

const app = {
  state, panes, looks, active: "nav",
  note: (text, tone) => trust.note(text, tone),
  send: (message) => connection?.send(message),
  choose, pause, copy, saveAs, moveBy, toggleSide, remember,
  redraw: () => { for (const name of NAMES) panes[name].drawOver(); },
  focus: (name) => { if (name !== "side" || state.side) panes[name].over.focus(); },
  forgetSource: (name) => {
    isChosen[name] = false;
    if (name === "side") choose("side", "");
    showSources();
    tellView();
  },
};
const detectors = (app.detectors = new Detectors(app));
const doing = (app.doing = new Doing(app));

// MARK: Sources

function showSources() {
  for (const name of NAMES) {
    const groups = sources(state, name), select = panes[name].source;
    const known = keysOf(groups);
    if (name !== "side" && !isChosen[name]) {
      // Channels come one after the other: the usual one takes the place of the first that was there.
      const wanted = { nav: "/sumsig/", sig: "/sum/" }[name];
      const first = known.find((key) => key.includes(wanted) && !key.startsWith("~")) ?? known.find((key) => /^[^@#~f]/.test(key));
      if (first) choose(name, first, false);
    }
    if (state[name] && !known.includes(state[name])) groups.push({ label: "Not there", list: [{ key: state[name], text: `${state[name].replaceAll("/", " · ")} (not there)` }] });
    if (!state[name]) groups.unshift({ label: "Results", list: [{ key: "", text: "no channel yet" }] });
    const text = JSON.stringify(groups);
    if (select.dataset.list !== text) {
      select.dataset.list = text;
      select.replaceChildren(...groups.map(({ label, list }) =>
        make("optgroup", { label }, ...list.map(({ key, text }) => make("option", { value: key, text })))));
    }
    select.value = state[name];
  }
}

function choose(name, key, isUser = true) {
  isChosen[name] ||= isUser;
  if (state[name] === key) return;
  if (name === "side") openSide(key !== "");
  if (key === "fft") looks.side.scale = "log";
  state[name] = key;
  if (isUser) showSources();
  tellView();
  if (key === "fft") showTransform();
  remember();
}

function openSide(isOpen) {
  panes.side.root.hidden = !isOpen;
  document.querySelector("main").dataset.side = String(isOpen);
  $("beside").setAttribute("aria-pressed", String(isOpen));
  if (isOpen && state.side === "") panes.side.resize();
  if (!isOpen) {
    state.shown.side = null;
    panes.side.show(null);
    if (app.active === "side") app.active = "nav";
  }
}

// Opens the image beside with a source, or with one that differs from the scan's; closes it when it shows that.
function toggleSide(key = null) {
  if (state.side && (key === null || state.side === key)) return choose("side", "");
  const known = keysOf(sources(state, "side"));
  choose("side", key ?? known.find((each) => each !== state.nav && each !== state.sig && each !== "#") ?? "fft");
}

function tellView() {
  const wanted = state.isPaused ? [] : NAMES.map((name) => request(state, name)).filter(Boolean);
  connection?.send({ type: "view", panes: wanted });
}

// MARK: Messages

function took(message) {
  const now = performance.now();
  state.message = message;
  state.channels = message.channels;
  role.show(message.viewer);
  if (message.acquisition?.sigShape) state.shape = message.acquisition.sigShape;
  doing.took(message.answers);
  for (const notice of message.notices) trust.note(notice.text, notice.severity);
  if (message.past) {
    state.past = message.past;
    listPast($("past"), state.past, showPast);
  }
  showSources();
  const told = state.isPaused ? [] : message.panes.filter((each) => NAMES.includes(each.pane));
  for (const each of told) takePane(each, now);
  if (told.some((each) => each.data)) trust.drew();
  if (state.shown.nav?.map && state.shown.nav.version !== mapVersion) {
    mapVersion = state.shown.nav.version;
    trust.showMap(state.shown.nav);
  }
  if (state.side === "fft") showTransform();
  detectors.took(message.detectors);
  showState();
}

function takePane(told, now) {
  const name = told.pane;
  if (!told.data) {
    // Until the new source has something, the picture before stays: unless it is of another acquisition.
    const shown = state.shown[name];
    if (shown?.generation === state.message.acquisition?.generation && shown?.key === state[name]) return;
    state.shown[name] = null;
    panes[name].show(null, told.problem);
    return;
  }
  told.receivedAt = now;
  told.key = state[name];
  state.shown[name] = told;
  panes[name].show(told);
  panes[name].root.dataset.seams = String(Math.max(0, told.seams.length - 1));
  if (told.kind === "sig") state.shape = told.shape.slice(0, 2);
}

function showTransform() {
  const told = state.shown.nav, now = performance.now();
  if (!told || (state.shown.side?.key === "fft" && state.shown.side.version === told.version)) return;
  if (!told.final && now - transformedAt < TRANSFORM_PAUSE) return;
  transformedAt = now;
  const made = transformOf(told, panes.nav.content);
  state.shown.side = made && { ...made, pane: "side", key: "fft" };
  panes.side.show(state.shown.side, "There is no transform of vectors; choose a channel with one number a position.");
}

// The same channel as the scan's, of an acquisition before; else its first one.
function showPast(past) {
  const [, udf, channel] = state.nav.split("/");
  const list = past.channels.filter(({ kind }) => kind === "nav");
  const found = list.find((each) => each.udf === udf && each.channel === channel) ?? list[0] ?? past.channels[0];
  choose("side", `~${past.id}/${found.run}/${found.udf}/${found.channel}`);
}

function showState() {
  const { message } = state, nav = state.shown.nav;
  trust.showLink(state.isOpen, state.reason, message);
  if (!message) return;
  const ageMs = nav ? nav.ageMs + performance.now() - nav.receivedAt : null;
  trust.show(message, { nav, ageMs, isPaused: state.isPaused });
  const can = state.isOpen && message.link.state === "connected";
  doing.show(can && message.viewer.mayControl, message.server.state);
  for (const name of NAMES) panes[name].root.dataset.stale = String(!can);
}

// MARK: Pointer

// What a pane shows: nav, sig, single or fft.
const kindOf = (name) => state.shown[name]?.kind ?? name;
const unitOf = (name) => state.units[kindOf(name)] ?? { size: 0, unit: "" };

function hooks(name) {
  return {
    drawOver: (context, pane) => {
      const told = state.shown[name];
      if (kindOf(name) === "nav") {
        drawSeams(context, pane, told ?? {});
        drawPosition(context, pane);
      } else if (kindOf(name) === "sig") {
        for (const detector of state.detectors) drawShape(context, pane, detector, detector.id === state.selected);
      }
      drawScaleBar(context, pane, unitOf(name));
    },
    title: (told) => title(told),
    describe: (told, place, index) => describe(name, told, place, index),
    lengthText: (length) => (unitOf(name).size > 0 ? lengthText(length * unitOf(name).size, unitOf(name).unit) : `${length.toFixed(1)} px`),
    onSource: (key) => choose(name, key),
    onLook: () => remember(),
    onSave: (format) => saveAs(name, format),
    down: (at) => {
      app.active = name;
      if (kindOf(name) === "nav") return pick(name, at);
      if (kindOf(name) !== "sig") return false;
      held = grab(state.detectors, state.selected, at, panes[name]);
      if (held && held.detector.id !== state.selected) detectors.select(held.detector.id);
      return Boolean(held);
    },
    move: (at, screen, isDragging) => {
      if (kindOf(name) === "nav") return isDragging && pick(name, at);
      if (kindOf(name) !== "sig") return;
      if (isDragging && held) detectors.change(held.detector, held.handle.drag(at, held.offset));
      else panes[name].over.style.cursor = grab(state.detectors, state.selected, at, panes[name])?.handle.cursor ?? "crosshair";
    },
    up: () => { held = null; },
  };
}

function title(told) {
  const size = told.shape.slice(0, 2).join(" × ");
  if (told.kind === "fft") return `${size} · transform of ${told.udf}`;
  if (told.kind !== "nav") return `${size} · ${told.sourceDtype}${told.position === undefined ? "" : ` · frame ${told.position}`}`;
  const seam = told.seams.length > 1 ? " · parameters changed" : "";
  const before = told.key?.startsWith("~") ? ` · acquisition ${told.generation}` : "";
  return `${told.navShape.join(" × ")} · ${Math.floor((100 * told.processed) / Math.max(1, told.expected))} %${told.final ? " · final" : ""}${seam}${before}`;
}

// What there is to say of a place beside its value.
function describe(name, told, place, index) {
  if (!told) return "";
  if (told.kind === "fft") {
    const length = period(place, told.shape), { size, unit } = state.units.nav;
    return Number.isFinite(length) ? ` · period ${length.toPrecision(3)} px${size > 0 ? ` = ${lengthText(length * size, unit)}` : ""}` : "";
  }
  return told.kind === "nav" ? describeSeam(told, index) : "";
}

function drawPosition(context, pane) {
  if (state.position === null || !pane.content || !NAMES.some((name) => state[name] === "#")) return;
  const ratio = window.devicePixelRatio || 1, { columns } = pane.content;
  const at = pane.toScreen((state.position % columns) + 0.5, Math.floor(state.position / columns) + 0.5);
  const arm = Math.max(pane.pixelSize / 2, 4 * ratio);
  for (const [width, style] of [[4, "#000c"], [1.6, "#fff"]]) {
    context.lineWidth = width * ratio;
    context.strokeStyle = style;
    context.strokeRect(at.x - arm, at.y - arm, 2 * arm, 2 * arm);
  }
}

// Shows the pattern of a scan position.
function pick(name, { x, y }) {
  const content = panes[name].content;
  const [column, row] = [Math.floor(x), Math.floor(y)];
  if (!content || row < 0 || column < 0 || row >= content.rows || column >= content.columns) return false;
  setPosition(row * content.columns + column);
  return true;
}

function setPosition(position) {
  const isShown = NAMES.some((name) => state[name] === "#");
  if (state.position === position && isShown) return;
  state.position = position;
  if (!isShown) {
    state.sig = "#";
    isChosen.sig = true;
  }
  showSources();
  tellView();
  app.redraw();
  remember();
}

// The arrow keys: the selected detector on a pattern, the position on a scan.
function moveBy(dy, dx) {
  if (kindOf(app.active) === "sig") return detectors.move(dy, dx);
  const content = panes.nav.content;
  if (!content) return;
  const { rows, columns } = content, now = state.position ?? Math.floor(rows / 2) * columns + Math.floor(columns / 2);
  const row = Math.min(Math.max(Math.floor(now / columns) + dy, 0), rows - 1);
  const column = Math.min(Math.max((now % columns) + dx, 0), columns - 1);
  setPosition(row * columns + column);
}

// MARK: Picture

function pause() {
  state.isPaused = !state.isPaused;
  $("pause").setAttribute("aria-pressed", String(state.isPaused));
  $("pause").textContent = state.isPaused ? "Resume" : "Pause";
  for (const name of NAMES) panes[name].root.dataset.paused = String(state.isPaused);
  tellView();
  showState();
}

async function saveAs(name, format) {
  const told = state.shown[name], { content } = panes[name];
  if (!told || !content) return trust.note("There is nothing to save yet.", "warning");
  const file = `${told.kind === "fft" ? "fft-" : ""}${told.udf}.${told.channel}.${format}`;
  if (format === "png") return save(await png(panes[name]), file);
  if (format === "npy") return save(npy(told.values, told.dtype, told.shape), file);
  save(tiff(magnitudes(content.values, content.components), content.rows, content.columns), file);
}

async function copy() {
  // A server that the viewer reaches on its own machine is reached from elsewhere by the page's host.
  const endpoint = (state.message?.server.endpoint ?? "tcp://127.0.0.1:7400").replace(/127\.0\.0\.1|localhost/, location.hostname);
  const text = code(state.shown.nav, state.detectors, looks.nav, endpoint);
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
  const lines = Object.fromEntries(NAMES.map((name) => [name, panes[name]?.line ?? null]));
  clearTimeout(remembering);
  remembering = setTimeout(() => history.replaceState(null, "", location.search + written({ ...state, isChosen, looks, lines })), 200);
}

function recall() {
  const view = read(location.hash);
  state.position = view.position;
  Object.assign(state.units, view.units);
  for (const name of NAMES) {
    if (name === "side" && view.side) choose("side", view.side);
    state[name] = view[name];
    isChosen[name] = view[name] !== "";
    Object.assign(looks[name], view.looks[name]);
    if (view.lines[name]) {
      panes[name].setMeasuring(true);
      panes[name].line = view.lines[name];
    }
  }
  for (const { id, udf, parameters } of view.detectors) if (!detectors.find(id)) detectors.add(udf, id, parameters);
}

// MARK: Beginning

function prepareUnits() {
  for (const name of ["nav", "sig"]) {
    const [size, unit] = [$(`${name}-size`), $(`${name}-unit`)];
    [size.value, unit.value] = [state.units[name].size || "", state.units[name].unit];
    size.onchange = unit.onchange = () => {
      state.units[name] = { size: Math.max(0, Number(size.value) || 0), unit: unit.value };
      app.redraw();
      remember();
    };
  }
}

async function begin() {
  await loadColours();
  for (const name of NAMES) {
    panes[name] = new Pane($(name), name, looks[name], hooks(name));
    panes[name].root.addEventListener("focusin", () => { app.active = name; });
  }
  recall();
  prepareUnits();
  for (const name of NAMES) panes[name].showLook();
  showSources();
  detectors.list();
  trust.showMap(null);
  $("pause").onclick = pause;
  $("copy").onclick = copy;
  $("beside").onclick = () => toggleSide();
  $("help-open").onclick = () => $("help").showModal();
  for (const button of document.querySelectorAll("[data-add]")) button.onclick = () => detectors.add(button.dataset.add);
  listenToKeys(app);
  const address = new URL("live", location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  address.hash = address.search = "";
  connection = new Connection(address.href, {
    onMessage: took,
    role,
    onOpen: () => {
      detectors.tellAll();
      tellView();
    },
    onLink: (isOpen, reason) => {
      Object.assign(state, { isOpen, reason });
      if (!isOpen) mapVersion = 0;
      showState();
    },
  });
  setInterval(showState, 250);
}

// For tests and for the curious: what is shown, and how.
window.stemwire = { state, panes, looks, trust, copy, app };
begin();
