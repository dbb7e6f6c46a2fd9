// Before a scan: what the acquisition server finds when it asks the detector and changes nothing.

import { $, make } from "./dom.js";
import { count, duration } from "./trust.js";

const SEVERITIES = { error: "Error", warning: "Warning", info: "Note" };
const VERDICTS = { good: "The scan can begin.", warning: "The scan can begin; mind the warnings.", bad: "The scan would not be what you asked for." };

export const bytes = (value) => {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let step = 0;
  for (; value >= 1024 && step < units.length - 1; step++) value /= 1024;
  return `${step ? value.toPrecision(3) : value} ${units[step]}`;
};
const milliseconds = (seconds) => `${Number((1000 * seconds).toPrecision(4))} ms`;

export class Check {
  // `doing`: ask(name, fields), tell(answer). The dialog is for those who may control; who may only look does not get here.
  constructor(doing) {
    Object.assign(this, { doing, fields: {}, asked: 0 });
    $("check-cancel").onclick = () => $("check").close();
    $("check-again").onclick = () => this.ask();
    $("check-frames").onchange = () => this.ask();
    $("check-form").onsubmit = (event) => {
      event.preventDefault();
      $("check").close();
      doing.ask("scan", this.wanted).then((answer) => doing.tell(answer));
    };
  }

  // `fields`: navShape, when it is not to be the server's.
  open(fields) {
    this.fields = fields;
    this.report = null;
    $("check-frames").checked = false;
    $("check").showModal();
    $("check-start").focus();
    return this.ask();
  }

  get wanted() {
    return $("check-frames").checked && this.report ? { ...this.fields, frames: this.report.needed } : this.fields;
  }

  async ask() {
    const number = ++this.asked;
    $("check-verdict").textContent = "asking the detector …";
    $("check-verdict").dataset.tone = "";
    const answer = await this.doing.ask("check", this.wanted);
    if (number === this.asked) this.show(answer);
  }

  show({ done, text, report }) {
    this.report = done ? report : null;
    const verdict = $("check-verdict");
    const findings = done ? Object.keys(SEVERITIES).flatMap((severity) => report.findings.filter((each) => each.severity === severity)) : [];
    const tone = !done || !report.ok ? "bad" : findings.some(({ severity }) => severity === "warning") ? "warning" : "good";
    verdict.dataset.tone = tone;
    verdict.textContent = done ? VERDICTS[tone] : `The check could not be made: ${text}`;
    $("check-facts").replaceChildren(...(done ? facts(report) : []).flatMap(([name, text]) => [make("dt", { text: name }), make("dd", { text })]));
    $("check-findings").replaceChildren(...findings.map(({ severity, text }) =>
      make("li", { "data-tone": severity === "info" ? "" : severity }, make("strong", { text: `${SEVERITIES[severity]}: ` }), text)));
    // The detector can be told how many frames the scan takes, when it would send another number.
    const isOther = done && report.needed > 0 && report.announced !== report.needed;
    if (!isOther && !$("check-frames").checked) $("check-frames-label").hidden = true;
    else if (isOther) {
      $("check-frames-label").hidden = false;
      $("check-frames-text").textContent = `Set the detector to ${count(report.needed)} frames (NUMFRAMESTOACQUIRE)`;
    }
    $("check-start").textContent = tone !== "bad" ? "Start the scan" : "Start all the same";
    $("check-start").classList.toggle("danger", tone === "bad");
  }
}

function facts(report) {
  const { announced, needed, triggers, exposureSeconds, deadSeconds, frameSeconds } = report;
  const rows = [["scan", report.navShape.length ? `${report.navShape.join(" × ")} positions` : "unknown"]];
  if (report.sigShape.length) rows.push(["pattern", `${report.sigShape.join(" × ")}, ${report.counterDepth} bit, ${report.dtype}`]);
  rows.push(["frames", `${count(needed)} needed, ${announced ? `${count(announced)} would come` : "sent until stopped"}`],
    ["triggers", triggers ? count(triggers) : "none: the detector begins by itself"]);
  if (frameSeconds > 0) {
    rows.push(["dwell", `${milliseconds(exposureSeconds)} exposure + ${milliseconds(deadSeconds)} readout; a frame every ${milliseconds(frameSeconds)}`],
      ["time", `${duration(report.seconds)} (${count(Math.round(1 / frameSeconds))} frames a second)`]);
  }
  if (report.bytes) rows.push(["data", bytes(report.bytes)]);
  if (report.diskFree) rows.push(["disk", `${bytes(report.diskFree)} free`]);
  return rows;
}
