// The sidebar: progress, counters, how the acquisition ended, the map of frames, messages.

import { DUPLICATE, FAILED, MISSING, PASSED, PENDING, PROCESSED, REJECTED } from "./levels.js";
import { make } from "./dom.js";
import { MARKS } from "./picture.js";

const DONE = [70, 150, 110];
// Red, green, blue and opaque as ImageData has them, read as one word.
const MAP_WORDS = [PENDING, PROCESSED, MISSING, PASSED, REJECTED, FAILED, DUPLICATE].map((code) =>
  new Uint32Array(Uint8Array.from([...(code === PROCESSED ? DONE : MARKS[code]), 255]).buffer)[0]);
const REASONS = {
  complete: "complete", newHeader: "ended by a new acquisition", stopped: "stopped", aborted: "aborted",
  connectionClosed: "the detector closed the connection", idle: "nothing came any more",
  serverRestarted: "the server was restarted", notTold: "its end is not known",
};
const KEPT = 12;
export const endWords = (reason) => (reason ? REASONS[reason] ?? reason : "its end is not known");

export const count = (value) => (value ?? 0).toLocaleString("en");
export const duration = (seconds) => {
  if (!Number.isFinite(seconds)) return "–";
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ${Math.floor(seconds % 60)} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
};
const milliseconds = (value) => (value < 1000 ? `${Math.round(value)} ms` : duration(value / 1000));

export class Trust {
  constructor() {
    this.element = Object.fromEntries(
      ["acquisition", "progress", "facts", "end", "map", "legend", "notices", "link", "state", "workers"]
        .map((id) => [id, document.getElementById(id)]));
    this.history = [];
    this.drawn = [];
  }

  // A picture was drawn: for the rate at which that happens.
  drew() {
    const now = performance.now();
    this.firstAt ??= now;
    this.drawn.push(now);
    while (this.drawn.length && this.drawn[0] < now - 2000) this.drawn.shift();
  }

  // How fast frames come now: over the last two seconds.
  rate(told) {
    const now = performance.now(), placed = told.placed ?? told.accounting?.placed ?? 0;
    if (this.generation !== told.generation) this.history = [];
    this.generation = told.generation;
    this.history.push([now, placed]);
    while (this.history.length > 2 && this.history[0][0] < now - 2000) this.history.shift();
    const [before, count] = this.history[0];
    return now - before > 300 ? (1000 * (placed - count)) / (now - before) : told.framesPerSecond ?? 0;
  }

  // The state of the connections: page to viewer, viewer to server, server to detector; the first that is broken.
  showLink(isOpen, reason, message) {
    const { link, state } = this.element;
    let [kind, text] = ["connected", `${message?.server.name ?? ""} · ${message?.server.source ?? ""}`];
    if (!isOpen) [kind, text] = ["lost", `no viewer: ${reason}; trying again`];
    else if (!message) [kind, text] = ["connecting", "connecting to the viewer"];
    else if (message.link.state === "lost") [kind, text] = ["lost", `no acquisition server for ${duration(message.link.forMs / 1000)}: ${message.link.reason}`];
    else if (message.link.state === "connecting") [kind, text] = ["connecting", "connecting to the acquisition server"];
    else if (message.server.statusAgeMs > 2500) [kind, text] = ["connecting", `the acquisition server has been silent for ${milliseconds(message.server.statusAgeMs)}`];
    else if (!message.server.detector.connected) [kind, text] = ["lost", `no detector: ${message.server.detector.reason ?? message.server.detector.source}`];
    link.dataset.state = kind;
    link.lastElementChild.textContent = text;
    link.title = text;
    const isKnown = isOpen && message?.link.state === "connected";
    state.hidden = !isKnown;
    state.textContent = message?.server.state ?? "";
    state.dataset.state = message?.server.state ?? "";
  }

  show(message, { nav, ageMs, isPaused }) {
    const { acquisition, progress, facts, end } = this.element, told = message.acquisition;
    const scan = told?.navShape?.join(" × ");
    acquisition.textContent = told ? `Acquisition ${told.generation}${scan ? ` · ${scan}` : ""}` : "No acquisition yet";
    const counts = told?.accounting;
    const placed = counts?.placed ?? told?.placed ?? 0, expected = counts?.expected ?? told?.expected ?? 0;
    progress.value = expected ? placed / expected : 0;
    const rows = [];
    const row = (name, value, tone = "") => rows.push([name, value, tone]);
    if (told) {
      const rate = this.rate(told);
      row("placed", `${count(placed)} of ${expected ? count(expected) : "open"}`);
      row("frames / s", count(Math.round(counts ? told.framesPerSecond : rate)));
      if (!told.endReason) row("time left", expected && rate > 0 ? duration((expected - placed) / rate) : "–");
      row("duration", duration(told.seconds));
      if (counts) {
        row("missing", count(counts.missing), counts.missing ? "bad" : "");
        row("rejected", count(counts.rejected), counts.rejected ? "bad" : "");
        row("duplicates", count(counts.duplicates), counts.duplicates ? "warn" : "");
        row("outside the scan", count(counts.strays), counts.strays ? "warn" : "");
        if (counts.droppedByRingFull) row("ring full", count(counts.droppedByRingFull), "bad");
        if (counts.malformed || counts.garbageBytes) row("unreadable", `${count(counts.malformed)} + ${count(counts.garbageBytes)} bytes`, "warn");
      }
      if (told.failed) row("failed, given up", count(told.failed), "bad");
    }
    row("image age", nav && ageMs !== null ? (nav.final ? "final" : milliseconds(ageMs)) : "–",
      nav && !nav.final && ageMs > 1000 && !told?.endReason ? "warn" : "");
    row("pictures / s", isPaused ? "paused" : (this.drawn.length / 2).toFixed(0));
    row("dropped for page", count(message.viewer.skipped));
    if (message.server.missed) row("lost on the way", count(message.server.missed), "warn");
    row("viewers", count(message.viewer.pages));
    fill(facts, rows);
    this.showWorkers(message.server);
    end.hidden = !told?.endReason;
    if (told?.endReason) {
      const isGood = told.endReason === "complete" && counts.missing + counts.rejected === 0;
      end.dataset.tone = isGood ? "good" : "bad";
      end.textContent = `${REASONS[told.endReason] ?? told.endReason}: ${count(counts.expected)} expected = ${count(counts.placed)} placed + `
        + `${count(counts.missing)} missing + ${count(counts.rejected)} rejected${counts.balanced ? "" : " (does not add up)"}`;
    }
  }

  // Who computes, and what waits.
  showWorkers({ workers, dispatch, ring }) {
    const rows = workers.map(({ name, local, inFlight, rate, silentMs, failed }) => {
      const isSilent = !local && silentMs > 3000;
      const text = isSilent ? `silent for ${milliseconds(silentMs)}` : `${rate.toFixed(0)} / s${inFlight ? ` · ${inFlight} at work` : ""}${failed ? ` · ${count(failed)} failed` : ""}`;
      return [local ? `${name} (here)` : name, text, isSilent || failed ? "bad" : ""];
    });
    rows.push(["partitions waiting", count(dispatch.waiting), dispatch.waiting > 64 ? "warn" : ""]);
    if (dispatch.redone) rows.push(["done again", count(dispatch.redone), "warn"]);
    if (dispatch.lost) rows.push(["workers lost", count(dispatch.lost), "bad"]);
    if (dispatch.givenUp) rows.push(["frames given up", count(dispatch.givenUp), "bad"]);
    rows.push(["frame memory free", ring.slots ? `${Math.round((100 * ring.free) / ring.slots)} %` : "–", ring.slots && ring.free < 0.05 * ring.slots ? "warn" : ""]);
    fill(this.element.workers, rows);
  }

  // The map of frames, and how many of each kind.
  showMap(nav) {
    const { map, legend } = this.element;
    const content = nav?.map && (nav.navShape.length === 2 ? nav.navShape : [1, nav.map.length]);
    const numbers = [0, 0, 0, 0, 0, 0, 0];
    if (content) {
      const [rows, columns] = content;
      map.width = columns;
      map.height = rows;
      const longer = Math.max(rows, columns);
      map.style.width = `${(84 * columns) / longer}px`;
      map.style.height = `${(84 * rows) / longer}px`;
      const pixels = new ImageData(columns, rows), words = new Uint32Array(pixels.data.buffer);
      for (let position = 0; position < nav.map.length; position++) {
        const code = nav.map[position];
        numbers[code]++;
        words[position] = MAP_WORDS[code];
      }
      map.getContext("2d").putImageData(pixels, 0, 0);
    }
    const rows = [[PROCESSED, "in the image", DONE], [PENDING, "to come", MARKS[PENDING]],
      [MISSING, "missing", MARKS[MISSING]], [DUPLICATE, "duplicate", MARKS[DUPLICATE]], [PASSED, "not in it", MARKS[PASSED]],
      [REJECTED, "rejected", MARKS[REJECTED]], [FAILED, "failed, given up", MARKS[FAILED]]]
      .filter(([code]) => numbers[code] || [PROCESSED, PENDING, MISSING, DUPLICATE].includes(code));
    const words = rows.map(([code, text]) => `${count(numbers[code])} ${text}`);
    map.setAttribute("aria-label", content ? `Map of frames: ${words.join(", ")}` : "Map of frames: nothing yet");
    legend.replaceChildren(...rows.map(([, , colour], index) => {
      const patch = make("i");
      patch.style.background = `rgb(${colour})`;
      return make("li", {}, patch, words[index]);
    }));
    return numbers;
  }

  note(text, tone = "info") {
    const { notices } = this.element;
    notices.prepend(make("li", { text, "data-tone": tone }));
    while (notices.children.length > KEPT) notices.lastElementChild.remove();
  }
}

// A list of names and values, changed only where it differs, so that it can be read and copied.
function fill(list, rows) {
  while (list.children.length > 2 * rows.length) list.lastElementChild.remove();
  while (list.children.length < 2 * rows.length) list.append(make("dt"), make("dd"));
  rows.forEach(([name, value, tone], index) => {
    const [term, text] = [list.children[2 * index], list.children[2 * index + 1]];
    if (term.textContent !== name) term.textContent = name;
    if (text.textContent !== value) text.textContent = value;
    if ((text.dataset.tone ?? "") !== tone) text.dataset.tone = tone;
  });
}
