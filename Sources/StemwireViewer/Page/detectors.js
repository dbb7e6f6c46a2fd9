// The virtual detectors of this page: made, changed, removed, and listed with their numbers.

import { $, make } from "./dom.js";
import { clamped, COLOURS, fresh, LABELS, NUMBERS } from "./shapes.js";
import { ownChannels } from "./sources.js";

export class Detectors {
  // `app`: state, note(text, tone), send(message), choose(pane, key), forgetSource(pane), redraw(), remember().
  constructor(app) { Object.assign(this, { app, state: app.state }); }

  find(id) { return this.state.detectors.find((detector) => detector.id === id); }
  get selected() { return this.find(this.state.selected); }

  add(udf, id = null, parameters = null) {
    const { app, state } = this;
    if (!id && (!state.shape || state.message?.viewer.mayControl === false)) {
      return app.note(state.shape ? `${state.message.viewer.reason}.` : "There is no pattern yet: a virtual detector needs its shape.", "warning");
    }
    if (state.detectors.length === COLOURS.length) return app.note(`A page has at most ${COLOURS.length} virtual detectors.`, "warning");
    const number = state.detectors.reduce((most, { name }) => Math.max(most, Number(name.split(" ").at(-1)) || 0), 0) + 1;
    const made = {
      id: id ?? `${udf[0]}${Math.random().toString(36).slice(2, 8)}`, udf, name: `${LABELS[udf]} ${number}`, problem: "",
      colour: COLOURS.find((colour) => !state.detectors.some((detector) => detector.colour === colour)) ?? COLOURS[0],
      parameters: parameters ?? fresh(udf, state.shape),
    };
    state.detectors.push(made);
    state.selected = made.id;
    this.tell(made);
    if (!id) app.choose("nav", `@${made.id}/${ownChannels(made)[0]}`);
    this.list();
    app.redraw();
    app.remember();
  }

  remove(id) {
    const { app, state } = this;
    app.send({ type: "dropDetector", id });
    state.detectors = state.detectors.filter((detector) => detector.id !== id);
    if (state.selected === id) state.selected = state.detectors.at(-1)?.id ?? null;
    for (const name of ["nav", "side"]) if (state[name].startsWith(`@${id}/`)) app.forgetSource(name);
    this.list();
    app.redraw();
    app.remember();
  }

  tell({ id, udf, parameters }) {
    const finite = Object.fromEntries(Object.entries(parameters).filter(([, value]) => value !== null));
    this.app.send({ type: "detector", id, udf, parameters: finite });
  }

  tellAll() { for (const detector of this.state.detectors) this.tell(detector); }

  change(detector, change) {
    const parameters = clamped(detector.udf, { ...detector.parameters, ...change }, this.state.shape ?? [1 << 16, 1 << 16]);
    if (JSON.stringify(parameters) === JSON.stringify(detector.parameters)) return;
    detector.parameters = parameters;
    this.app.redraw();
    this.showNumbers(detector);
    this.tell(detector);
    this.app.remember();
  }

  // What the viewer says of the detectors: problems.
  took(told) {
    for (const { id, problem } of told) {
      const detector = this.find(id);
      if (!detector || detector.problem === (problem ?? "")) continue;
      detector.problem = problem ?? "";
      this.list();
    }
  }

  list() {
    $("no-detectors").hidden = this.state.detectors.length > 0;
    $("detectors").replaceChildren(...this.state.detectors.map((detector) => this.item(detector)));
    for (const detector of this.state.detectors) this.showNumbers(detector);
  }

  item(detector) {
    const numbers = NUMBERS[detector.udf].map((name) => make("label", {}, name,
      make("input", { type: "number", step: "any", "data-name": name, "aria-label": `${detector.name}: ${name}`,
        onchange: (event) => this.change(detector, { [name]: Number(event.target.value) || 0 }) })));
    if (detector.udf === "com") {
      numbers.push(make("label", {}, make("input", { type: "checkbox", "aria-label": `${detector.name}: flip y`, checked: detector.parameters.flip_y,
        onchange: (event) => this.change(detector, { flip_y: event.target.checked }) }), "flip y"));
    }
    const show = (pane, text, label) => make("button", { type: "button", text, "aria-label": `${label} ${detector.name}`, title: label,
      onclick: () => this.app.choose(pane, `@${detector.id}/${ownChannels(detector)[0]}`) });
    const item = make("li", { "data-id": detector.id, "aria-current": String(detector.id === this.state.selected) },
      make("div", { class: "top" },
        make("strong", { text: detector.name, onclick: () => this.select(detector.id) }),
        show("nav", "Show", "Show"), show("side", "Beside", "Show beside the scan"),
        make("button", { type: "button", text: "×", "aria-label": `Remove ${detector.name}`, onclick: () => this.remove(detector.id) })),
      make("div", { class: "numbers" }, ...numbers));
    if (detector.problem) item.append(make("p", { class: "problem", text: detector.problem, role: "alert" }));
    item.style.borderLeftColor = detector.colour;
    return item;
  }

  showNumbers(detector) {
    for (const input of document.querySelectorAll(`#detectors [data-id="${CSS.escape(detector.id)}"] [data-name]`)) {
      if (input !== document.activeElement) input.value = detector.parameters[input.dataset.name];
    }
  }

  select(id) {
    this.state.selected = id;
    this.list();
    this.app.redraw();
  }

  selectNext() {
    const ids = this.state.detectors.map(({ id }) => id);
    if (ids.length) this.select(ids[(ids.indexOf(this.state.selected) + 1) % ids.length]);
  }

  move(dy, dx) {
    const detector = this.selected;
    if (!detector) return;
    const { parameters: p } = detector;
    this.change(detector, detector.udf === "rectangle" ? { y: p.y + dy, x: p.x + dx } : { cy: p.cy + dy, cx: p.cx + dx });
  }

  grow(step) {
    const detector = this.selected, p = detector?.parameters;
    if (!detector || detector.udf === "point") return;
    if (detector.udf === "ring") this.change(detector, { ri: p.ri + step, ro: p.ro + step });
    else if (detector.udf === "rectangle") this.change(detector, { height: p.height + step, width: p.width + step });
    else this.change(detector, { r: p.r + step });
  }
}
