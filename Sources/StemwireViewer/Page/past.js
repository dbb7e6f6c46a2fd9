// The acquisitions before the present one: those that the viewer keeps, and those of the server's history; how they ended, what was made of
// them, and their results beside the present ones.

import { $, make } from "./dom.js";
import { count, duration, endWords } from "./trust.js";

const isSameDay = (a, b) => a.toDateString() === b.toDateString();

// When, as short as it can be told apart.
export function when(milliseconds, now = new Date()) {
  const date = new Date(milliseconds);
  return isSameDay(date, now) ? date.toLocaleTimeString("en-GB")
    : date.toLocaleString("en-GB", { year: date.getFullYear() === now.getFullYear() ? undefined : "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
}

export class Past {
  // `app`: state, doing, note(text, tone). `show(past)` shows one whose results are kept.
  constructor(app, show) {
    Object.assign(this, { app, show, entries: [], next: 0, asked: "", trouble: "" });
    $("past-more").onclick = () => this.read(this.next);
    $("entry-close").onclick = () => $("entry").close();
  }

  // The history is read anew when the connection is another one, and whenever an acquisition begins or ends.
  reconnected() { this.asked = ""; }

  took(message) {
    const { acquisition, link } = message;
    const key = `${acquisition?.id} ${acquisition?.endReason ?? ""}`;
    const isNews = this.asked !== key;
    if (isNews && link.state === "connected") {
      this.asked = key;
      this.read();
    }
    if (isNews || message.past) this.list(acquisition?.id);
  }

  async read(before = 0) {
    const answer = await this.app.doing.ask("history", before ? { before } : {}, "history");
    this.trouble = answer.done ? "" : answer.text;
    if (answer.done) {
      const { entries, next } = answer.report;
      const ids = new Set(entries.map(({ id }) => id));
      // Older pages that were read before stay, unless some are lacking in between.
      const isJoined = before > 0 || this.entries.some(({ id }) => ids.has(id));
      if (before > 0 || !isJoined) this.next = next;
      this.entries = [...entries, ...(isJoined ? this.entries.filter(({ id }) => !ids.has(id)) : [])].sort((a, b) => b.number - a.number);
    } else {
      [this.entries, this.next] = [[], 0];
    }
    this.list(this.app.state.message?.acquisition?.id);
  }

  // Those of the history, and before them those that it does not have (yet).
  list(present) {
    const kept = this.app.state.past, recorded = new Set(this.entries.map(({ id }) => id));
    const listed = [...kept.filter(({ id }) => !recorded.has(id)), ...this.entries].filter(({ id }) => id !== present);
    const rows = listed.map((each) => ({ ...each, kept: kept.find(({ id }) => id === each.id), isRecorded: recorded.has(each.id) }));
    $("past").parentElement.hidden = rows.length === 0;
    $("past-more").hidden = this.next === 0;
    $("past-trouble").textContent = this.trouble;
    $("past").replaceChildren(...rows.map((row) => this.item(row)));
  }

  item(row) {
    const counts = row.accounting, lacking = counts ? counts.missing + counts.rejected : 0;
    const name = row.startedAt ? when(row.startedAt) : `acquisition ${row.generation}`;
    const text = `${row.navShape.join(" × ") || "no frames"} · ${endWords(row.endReason)}${lacking ? ` · ${count(lacking)} lacking` : ""}`;
    const has = row.kept?.channels.length > 0;
    return make("li", { "data-tone": row.endReason === "complete" && counts && !lacking ? "good" : "bad", title: `acquisition ${row.generation} of its server` },
      make("span", {}, make("strong", { text: name }), ` ${text}`),
      make("button", { type: "button", text: "Beside", disabled: !has, "aria-label": `Show the acquisition of ${name} beside the scan`,
        title: has ? "Show it beside the present one" : "Its results are not kept in memory", onclick: () => this.show(row.kept) }),
      make("button", { type: "button", text: "…", hidden: !row.isRecorded, "aria-label": `What the history tells of the acquisition of ${name}`,
        title: "What the history tells of it", onclick: () => this.open(row.id) }));
  }

  // MARK: One acquisition

  async open(id) {
    const answer = await this.app.doing.ask("history", { acquisition: id }, "history");
    const entry = answer.done ? answer.report.entries[0] : null;
    if (!entry) return this.app.note(answer.text || "The history has no such acquisition.", "error");
    const counts = entry.accounting, facts = [
      ["acquisition", `${entry.id} (number ${entry.number} of the history, ${entry.generation} of its server)`],
      ["began", entry.startedAt ? new Date(entry.startedAt).toLocaleString("sv") : "before a frame came"],
      ["scan", entry.navShape.join(" × ") || "–"], ["pattern", entry.sigShape.length ? `${entry.sigShape.join(" × ")}, ${entry.dtype}` : "–"],
      ["end", `${endWords(entry.endReason)}, after ${duration(entry.seconds)}`],
      ["frames / s", count(Math.round(entry.framesPerSecond))],
    ];
    if (counts) {
      facts.push(["frames", `${count(counts.expected)} expected = ${count(counts.placed)} placed + ${count(counts.missing)} missing + ${count(counts.rejected)} rejected; ${count(counts.duplicates)} duplicates`]);
    }
    facts.push(["server", entry.server], ...entry.files.map((file) => ["file", file]));
    const runs = entry.runs.flatMap(({ run, udfs, results, error }) => [
      make("h3", { text: `Run ${run}${error ? `: ${error}` : ""}` }),
      make("ul", {}, ...udfs.map(({ id, name, parameters }) => {
        const given = Object.entries(parameters).map(([key, value]) => `${key} ${value}`).join(", ");
        return make("li", { text: `${id}${id === name ? "" : `: ${name}`}${given ? ` (${given})` : ""}` });
      })),
      make("table", {}, ...results.map(({ udf, channel, dtype, shape, digest }) => make("tr", {},
        make("td", { text: `${udf}.${channel}` }), make("td", { text: `${shape.join(" × ")} ${dtype}` }),
        make("td", {}, make("code", { text: digest, title: "xxh3-128 of the array's bytes: the same for the same bits" }))))),
    ]);
    $("entry-facts").replaceChildren(...facts.flatMap(([name, text]) => [make("dt", { text: name }), make("dd", { text })]));
    $("entry-runs").replaceChildren(...runs);
    $("entry-header").textContent = entry.header;
    $("entry-header").parentElement.hidden = !entry.header;
    $("entry").showModal();
  }
}
