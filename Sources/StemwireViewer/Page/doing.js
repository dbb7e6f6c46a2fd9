// What the page has the detector do: arm, scan, stop, and settings. Each command is answered by its number.

import { Check } from "./check.js";
import { $, make } from "./dom.js";

const PATIENCE = 15000;
// Detector variables that people look at, with what they are; those without a third word can be set.
const SETTINGS = [
  ["NUMFRAMESTOACQUIRE", "frames to acquire"], ["ACQUISITIONTIME", "exposure, ms"], ["ACQUISITIONPERIOD", "period, ms"],
  ["COUNTERDEPTH", "counter depth, bit"], ["TRIGGERSTART", "start trigger"], ["TRIGGERSTOP", "stop trigger"],
  ["NUMFRAMESPERTRIGGER", "frames a trigger"], ["CONTINUOUSRW", "read while counting"], ["ENABLECOUNTER1", "second counter"],
  ["THRESHOLD0", "threshold 0, keV"], ["THRESHOLD1", "threshold 1, keV"], ["GAIN", "gain"], ["HVBIAS", "bias, V"],
  ["FILEFORMAT", "pixel format"], ["TEMPERATURE", "temperature, °C", "read"], ["DETECTORSTATUS", "status", "read"], ["SOFTWAREVERSION", "software", "read"],
];
const ALLOWED = {
  scan: ["idle"], arm: ["idle"], trigger: ["armed"], stop: ["armed", "acquiring"], abort: ["armed", "acquiring"], settings: ["idle", "armed", "acquiring"],
};

export class Doing {
  // `app`: state, note(text, tone), send(message).
  constructor(app) {
    Object.assign(this, { app, count: 0, waiting: new Map() });
    this.check = new Check(this);
    for (const button of document.querySelectorAll("[data-command]")) button.onclick = () => this.command(button.dataset.command);
    $("settings-close").onclick = () => $("settings").close();
    $("settings-again").onclick = () => this.readSettings();
    $("setting-form").onsubmit = (event) => {
      event.preventDefault();
      const name = $("setting-name").value.trim().toUpperCase(), value = $("setting-value").value.trim();
      if (name && value) this.set(name, value); else if (name) this.readSettings([name]);
    };
  }

  // Which commands make sense now.
  show(can, server) {
    for (const button of document.querySelectorAll("[data-command]")) {
      button.disabled = !can || !ALLOWED[button.dataset.command].includes(server);
    }
  }

  command(name) {
    const button = document.querySelector(`[data-command="${name}"]`);
    if (button.disabled || this.app.state.message?.viewer.mayControl === false) return;
    if (name === "settings") return this.openSettings();
    const shape = [Number($("scan-rows").value), Number($("scan-columns").value)];
    const fields = ["arm", "scan"].includes(name) && shape[0] > 0 && shape[1] > 0 ? { navShape: shape } : {};
    if (name === "scan") return this.check.open(fields);
    this.ask(name, fields).then((answer) => this.tell(answer));
  }

  tell({ text, done }) { this.app.note(text, done ? "done" : "error"); }

  // Sends a command, or a question of another type; the answer comes with a later message.
  ask(name, fields, type = "command") {
    const id = ++this.count;
    const answer = new Promise((resolve) => {
      this.waiting.set(id, resolve);
      setTimeout(() => { if (this.waiting.delete(id)) resolve({ done: false, text: `${name}: no answer after ${PATIENCE / 1000} s`, values: {} }); }, PATIENCE);
    });
    this.app.send({ type, id, name, ...fields });
    return answer;
  }

  took(answers) {
    for (const answer of answers) {
      const resolve = this.waiting.get(answer.id);
      if (this.waiting.delete(answer.id)) resolve(answer);
      else this.app.note(answer.text, answer.done ? "done" : "error");
    }
  }

  // MARK: Settings

  openSettings() {
    $("settings").showModal();
    this.readSettings();
  }

  async readSettings(names = SETTINGS.map(([name]) => name)) {
    $("settings-told").textContent = "asking the detector …";
    const answer = await this.ask("settings", { settings: names });
    $("settings-told").textContent = answer.done ? "" : answer.text;
    if (!answer.done) return;
    if (names.length === 1) {
      $("settings-told").textContent = names[0] in answer.values ? `${names[0]} is ${answer.values[names[0]]}` : `the detector does not know ${names[0]}`;
      return;
    }
    $("settings-list").replaceChildren(...SETTINGS.filter(([name]) => name in answer.values).flatMap(([name, words, access]) => {
      const input = make("input", { value: answer.values[name], "aria-label": `${words}, ${name}`, "data-setting": name, disabled: access === "read",
        onchange: (event) => this.set(name, event.target.value.trim()) });
      return [make("dt", {}, words, make("small", { text: name })), make("dd", {}, input)];
    }));
  }

  async set(name, value) {
    const answer = await this.ask("set", { setting: name, value });
    $("settings-told").textContent = answer.text;
    this.app.note(answer.text, answer.done ? "done" : "error");
    const input = document.querySelector(`[data-setting="${CSS.escape(name)}"]`);
    if (input && answer.values?.[name] !== undefined) input.value = answer.values[name];
  }
}
