// The calculator: one head's attention for one query, worked out in front of the reader, who may change it.
import { MODALITIES, strongest } from "./attentionRows.js";
import { Board } from "./stepsPanel.js";
import { make, setText } from "./dom.js";
import { Edits } from "./edits.js";
import { chosenStream } from "./select.js";
import { differences, grouped, isEdited, norm, placeOf, plain, work } from "./steps.js";
import { tellLayer } from "./labels.js";

const LATER = 300; // milliseconds

/** The panel `calculator`: there for runs that have their steps. */
export class CalculatorPanel {
  constructor(viewer) {
    const { say } = viewer;
    this.viewer = viewer;
    this.element = make("section", {
      class: "panel calculator",
      "data-panel": "calculator",
      "aria-label": say("calculator"),
      hidden: true,
    });
    this.board = new Board(this);
    this.edits = new Edits(this);
    this.isSeen = true;
    this.observer = new IntersectionObserver((entries) => {
      this.isSeen = entries[entries.length - 1].isIntersecting; // the newest of what came together
      if (this.isSeen) viewer.repaint();
    });
    this.observer.observe(this.element);
  }

  build() {
    const { header, say } = this.viewer;
    this.element.hidden = !header.steps;
    this.laid = this.streams = null;
    this.picked = null; // a key; until one is picked, the strongest
    if (!header.steps) return;
    this.edits.build();
    const select = (code, change) => {
      const box = make("select", { "data-part": code });
      box.addEventListener("change", () => change(Number(box.value)));
      return { box, element: make("label", { class: "named" }, make("span", { class: "name", text: say(code) }), box) };
    };
    this.maps = select("calc-map", (map) => this.look({ map }));
    this.heads = select("calc-head", (head) => this.look({ head }));
    this.queries = select("calc-query", (query) => this.look({ query }));
    this.keys = select("calc-key", (key) => this.choose(key));
    const options = header.maps.map((map, k) =>
      make("option", { value: k, text: tellLayer(header, k), title: map.name }),
    );
    this.maps.box.append(...options);
    this.notes = make("p", { class: "note", "data-part": "calc-notes" });
    this.verdict = make("p", { class: "verdict", role: "status", "data-part": "calc-verdict" });
    this.waiting = make("p", { class: "note", "data-part": "calc-waiting" });
    const choices = [this.maps, this.heads, this.queries, this.keys].map((one) => one.element);
    this.element.replaceChildren(
      make("h3", { text: say("calculator"), title: say("calculator-help") }),
      make("p", { class: "note", text: say("calculator-help") }),
      make("div", { class: "line choices" }, ...choices),
      this.notes,
      this.edits.element,
      this.verdict,
      this.waiting,
      this.board.element,
    );
  }

  /** Look at another map, head or query from now on; what is not named stays. */
  look(wanted) {
    const { header, view } = this.viewer;
    const now = placeOf(header, { ...view, id: view.plane, chosen: chosenStream(header, view) });
    const { map, head, query } = { ...now, ...wanted };
    const isSame = header.maps[now.map].queries === header.maps[map].queries;
    const tokens = [isSame ? query : 0];
    const plane = `${map}:${Math.min(head, header.maps[map].heads - 1)}`;
    this.viewer.pinned = true;
    this.viewer.look({ ...view, plane, tokens, versus: [], direction: "from" });
    this.viewer.announce();
  }

  choose(key) {
    this.picked = key;
    this.viewer.repaint();
  }

  resize() {}

  paint(frame) {
    const { header } = this.viewer;
    if (!header.steps || !this.isTime()) return;
    const place = placeOf(header, frame);
    const steps = this.viewer.steps.get(place.map);
    this.fetch(steps);
    this.board.element.hidden = this.edits.element.hidden = this.verdict.hidden = !steps;
    if (!steps) return;
    this.now = { ...place, steps, id: `${place.map}:${place.head}:${place.query}` };
    this.fitTo(header.maps[place.map], steps);
    this.compute();
    this.paintChoices();
    this.edits.paint(this.now);
    this.board.paint(this.now);
    this.paintVerdict();
  }

  /** Whether to paint in this frame; what is not on the screen can wait until the pointer rests. */
  isTime() {
    clearTimeout(this.soon);
    const isTime = this.isSeen || this.isDue;
    this.isDue = false;
    if (isTime) return true;
    this.soon = setTimeout(() => {
      this.isDue = true;
      this.viewer.repaint();
    }, LATER);
    return false;
  }

  /** Ask for what is not here: first what is looked at, then all else, so that later choices wait for nothing. */
  fetch(steps) {
    const { viewer } = this;
    const { header, on, say } = viewer;
    const missing = header.steps.flatMap((_, map) => (viewer.steps.get(map) ? [] : ["steps/" + map]));
    if (missing.length && on.need) viewer.fetching.ask(missing);
    setText(this.waiting, steps ? "" : say(on.need ? "calc-fetching" : "calc-not-here"));
  }

  /** Other streams or sizes of vectors than before: lay all out anew. */
  fitTo(map, steps) {
    const { header } = this.viewer;
    const sizes = [steps.query.shape, steps.value.shape[2], Boolean(steps.projection), Boolean(steps.to_query)];
    const laid = [header.run, steps.scale, ...sizes, steps.to_key, steps.to_value]
      .map((one) => one?.shape ?? one)
      .join();
    if (this.laid !== laid) this.board.build(steps);
    this.laid = laid;
    const streams = `${map.queries} ${map.keys}`;
    if (this.streams === streams) return;
    this.streams = streams;
    this.picked = null;
    const { modality } = header.streams[map.keys];
    this.order = grouped(modality);
    this.edits.fitTo(modality);
    this.fill(this.queries.box, map.queries);
    this.fill(this.keys.box, map.keys);
  }

  /** The tokens of a stream to choose from, by modality. */
  fill(box, stream) {
    const { modality, name } = this.viewer.header.streams[stream];
    const groups = MODALITIES.map((one) => {
      const options = name.flatMap((text, token) =>
        modality[token] === one ? [make("option", { value: token, text })] : [],
      );
      return options.length ? make("optgroup", { label: this.viewer.say("modality-" + one) }, ...options) : null;
    });
    box.replaceChildren(...groups.filter(Boolean));
  }

  compute() {
    const { now } = this;
    const { steps, map, head, query } = now;
    const edits = this.edits.at(now.id);
    const worked = work(steps, head, query, edits);
    const edited = isEdited(edits);
    const before = edited ? work(steps, head, query) : worked;
    const key = this.picked ?? strongest(before.weights, 1)[0] ?? 0;
    const { keys } = this.viewer.header.maps[map];
    const modalities = this.viewer.header.streams[keys].modality;
    const choose = (key) => this.choose(key);
    const place = { order: this.order, modalities, chosen: key, choose };
    Object.assign(now, { edits, worked, before, isEdited: edited, key, modalities, place });
  }

  paintChoices() {
    const { map, head, query, key, notes, steps } = this.now;
    const { say } = this.viewer;
    const heads = steps.query.shape[0];
    if (this.heads.box.length !== heads) {
      this.heads.box.replaceChildren(
        ...Array.from({ length: heads }, (_, k) => make("option", { value: k, text: String(k + 1) })),
      );
    }
    for (const [one, value] of [[this.maps, map], [this.heads, head], [this.queries, query], [this.keys, key]]) {
      if (one.box.value !== String(value)) one.box.value = value;
    } // prettier-ignore
    setText(this.notes, notes.map((code) => say(code)).join(" "));
    const { dataset } = this.element;
    Object.assign(dataset, { place: this.now.id, key, edited: this.now.isEdited });
  }

  /** How near all of it is to the model's own; once something is edited, how far the output moved instead. */
  paintVerdict() {
    const { steps, head, query, worked, before, isEdited: edited } = this.now;
    const { say } = this.viewer;
    this.verdict.classList.toggle("edited", edited);
    if (edited) {
      const [now, was] = worked.output ? [worked.output, before.output] : [worked.mixed, before.mixed];
      const [moved, length] = [plain(norm(now.map((one, k) => one - was[k]))), plain(norm(was))];
      const told = worked.output ? say("calc-edited", { moved, length }) : say("calc-edited-head", { moved, length });
      return setText(this.verdict, told);
    }
    const { output: apart, ...rest } = differences(steps, head, query, worked);
    const [weights, mixed, output] = [rest.weights, rest.mixed, apart ?? 0].map((one) => plain(one, 2));
    const isHead = apart === null; // of the output nothing is known
    setText(
      this.verdict,
      isHead ? say("calc-parity-head", { weights, mixed }) : say("calc-parity", { weights, mixed, output }),
    );
  }

  /** What a token is called; of the stream that asks, or is asked. */
  nameOf(token, isQuery = false) {
    const { header } = this.viewer;
    const { queries, keys } = header.maps[this.now.map];
    return header.streams[isQuery ? queries : keys].name[token];
  }

  close() {
    clearTimeout(this.soon);
    this.observer.disconnect();
  }
}
