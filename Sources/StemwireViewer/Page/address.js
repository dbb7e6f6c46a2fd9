// The view in the page's address, behind the #: a view can be kept, sent, and opened on another screen.

import { MAPS } from "./picture.js";
import { COLOURS, NUMBERS } from "./shapes.js";
import { KEY } from "./sources.js";

const SCALES = ["linear", "log", "gamma"];
const NAMES = ["nav", "sig", "side"];
const UNITS = { nav: ["nm", "µm", "Å", "px"], sig: ["mrad", "1/nm", "1/Å", "px"] };

const number = (text, fallback) => (text !== undefined && text !== "" && Number.isFinite(Number(text)) ? Number(text) : fallback);
const rounded = (value) => Math.round(value * 10) / 10;

// The address's part for a view.
export function written({ isChosen, looks, lines, units, position, detectors, ...keys }) {
  const words = new URLSearchParams();
  for (const name of NAMES) {
    if (name === "side" && !keys.side) continue;
    if (isChosen[name]) words.set(name, keys[name]);
    const { map, scale, gamma, locked, limits, rotation, flip } = looks[name];
    words.set(`${name}-look`, [map, scale, gamma, locked ? limits.join("~") : "auto", rotation, flip ? 1 : 0].join(","));
    const line = lines[name];
    if (line) words.set(`${name}-line`, [line.from.x, line.from.y, line.to.x, line.to.y].map(rounded).join(","));
  }
  for (const name of ["nav", "sig"]) if (units[name].size > 0) words.set(`${name}-unit`, `${units[name].size},${units[name].unit}`);
  if (position !== null) words.set("at", position);
  for (const { id, udf, parameters } of detectors) {
    words.append("d", [id, udf, ...Object.entries(parameters).map(([name, value]) => `${name}=${value}`)].join(","));
  }
  return `#${words.toString().replaceAll("%2F", "/").replaceAll("%2C", ",").replaceAll("%40", "@").replaceAll("%3D", "=")}`;
}

// The view that an address tells; what makes no sense in it is left out.
export function read(hash) {
  const words = new URLSearchParams(hash.slice(1)), view = { looks: {}, lines: {}, units: {}, detectors: [] };
  for (const name of NAMES) {
    const key = words.get(name) ?? "";
    view[name] = KEY.test(key) ? key : "";
    const [map, scale, gamma, limits, rotation, flip] = (words.get(`${name}-look`) ?? "").split(",");
    const look = (view.looks[name] = { rotation: number(rotation, 0), flip: flip === "1" });
    if (MAPS.includes(map)) look.map = map;
    if (SCALES.includes(scale)) look.scale = scale;
    if (number(gamma, 0) > 0) look.gamma = number(gamma, 1);
    const [low, high] = (limits ?? "").split("~").map(Number);
    if (Number.isFinite(low) && high > low) Object.assign(look, { locked: true, limits: [low, high] });
    const ends = (words.get(`${name}-line`) ?? "").split(",").map((text) => number(text, NaN));
    if (ends.length === 4 && ends.every(Number.isFinite)) view.lines[name] = { from: { x: ends[0], y: ends[1] }, to: { x: ends[2], y: ends[3] } };
    const [size, unit] = (words.get(`${name}-unit`) ?? "").split(",");
    if (number(size, 0) > 0 && UNITS[name]?.includes(unit)) view.units[name] = { size: number(size, 0), unit };
  }
  const position = words.has("at") ? number(words.get("at"), -1) : -1;
  view.position = Number.isInteger(position) && position >= 0 ? position : null;
  for (const text of words.getAll("d").slice(0, COLOURS.length)) {
    const [id, udf, ...pairs] = text.split(",");
    if (!Object.hasOwn(NUMBERS, udf) || !/^\w{1,12}$/.test(id)) continue;
    const parameters = Object.fromEntries(pairs.map((pair) => pair.split("="))
      .filter(([name]) => NUMBERS[udf].includes(name) || (udf === "com" && name === "flip_y"))
      .map(([name, value]) => [name, name === "flip_y" ? value === "true" : Math.min(Math.max(number(value, 0), -1e6), 1e6)]));
    if (NUMBERS[udf].every((name) => name in parameters)) view.detectors.push({ id, udf, parameters });
  }
  return view;
}
