// The viewer: what is shown, what is asked for, and who is told.

import { read, written } from "./address.js";
import { Connection } from "./connection.js";
import { Detectors } from "./detectors.js";
import { Doing } from "./doing.js";
import { code, npy, png, save, tiff } from "./export.js";
import { transformOf } from "./fourier.js";
import { listenToKeys } from "./keys.js";
import { magnitudes } from "./levels.js";
import { $, make } from "./dom.js";
import { Pane } from "./pane.js";
import { Past } from "./past.js";
import { loadColours } from "./picture.js";
import { Places } from "./places.js";
import { Role } from "./role.js";
import { keysOf, ownChannels, request, sources } from "./sources.js";
import { Trust } from "./trust.js";

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
let connection = null, mapVersion = 0, transformedAt = 0;

const app = {
  state, panes, looks, isChosen, names: NAMES, active: "nav",
  note: (text, tone) => trust.note(text, tone),
  send: (message) => connection?.send(message),
  choose, pause, copy, saveAs, toggleSide, remember, showSources, tellView,
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
const places = (app.places = new Places(app));
const past = new Past(app, showPast);

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
  if (message.past) state.past = message.past;
  past.took(message);
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
function showPast(kept) {
  const [, udf, channel] = state.nav.split("/");
  const list = kept.channels.filter(({ kind }) => kind === "nav");
  const found = list.find((each) => each.udf === udf && each.channel === channel) ?? list[0] ?? kept.channels[0];
  choose("side", `~${kept.id}/${found.run}/${found.udf}/${found.channel}`);
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
    panes[name] = new Pane($(name), name, looks[name], places.hooks(name));
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
      past.reconnected();
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
