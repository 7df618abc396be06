// The calculator: the attention of one head and one query, computed in front of the reader, who may change it.
import { MODALITIES, strongest } from "./attentionRows.js";
import {
  calculatorTarget,
  computeAttention,
  differences,
  groupByModality,
  isEdited,
  norm,
} from "./attentionSteps.js";
import { CalculatorEdits } from "./calculatorEdits.js";
import { make, setText } from "./dom.js";
import { describeLayer } from "./labels.js";
import { formatMapRef } from "./mapRef.js";
import { formatNumber } from "./numberFormat.js";
import { stackName, stacksOf } from "./modelStacks.js";
import { StepsPanel } from "./stepsPanel.js";
import { chosenStream } from "./viewState.js";

const OFFSCREEN_DELAY = 300; // milliseconds that the view rests before a calculator off the screen is painted

/** The panel `calculator`, for runs that have their attention steps; hidden for others. */
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
    this.stepsPanel = new StepsPanel(this);
    this.edits = new CalculatorEdits(this);
    this.isOnScreen = true;
    this.observer = new IntersectionObserver((entries) => {
      this.isOnScreen = entries.at(-1).isIntersecting; // the newest of several
      if (this.isOnScreen) viewer.repaint();
    });
    this.observer.observe(this.element);
  }

  build() {
    const { header, say } = this.viewer;
    this.element.hidden = !header.steps;
    this.layout = this.streams = null;
    this.chosenKey = null; // until one is chosen, the key with the largest weight
    if (!header.steps) return;
    this.edits.build();
    const select = (code, change) => {
      const box = make("select", { "data-part": code });
      box.addEventListener("change", () => change(Number(box.value)));
      return { box, element: make("label", { class: "named" }, make("span", { class: "name", text: say(code) }), box) };
    };
    this.maps = select("calc-map", (mapIndex) => this.select({ mapIndex }));
    this.heads = select("calc-head", (head) => this.select({ head }));
    this.queries = select("calc-query", (query) => this.select({ query }));
    this.keys = select("calc-key", (key) => this.chooseKey(key));
    const options = header.maps.map((map, index) =>
      make("option", { value: index, text: describeLayer(header, index), title: map.name }),
    );
    const stacks = stacksOf(header);
    const ofStack = (stack) => options.filter((_, index) => header.maps[index].stack === stack);
    const groups = stacks.map((stack) => make("optgroup", { label: stackName(header, stack) }, ...ofStack(stack)));
    this.maps.box.append(...(stacks.length > 1 ? groups : options));
    this.notes = make("p", { class: "note", "data-part": "calc-notes" });
    this.verdict = make("p", { class: "verdict", role: "status", "data-part": "calc-verdict" });
    this.waiting = make("p", { class: "note", "data-part": "calc-waiting" });
    const choices = [this.maps, this.heads, this.queries, this.keys].map(({ element }) => element);
    this.element.replaceChildren(
      make("h3", { text: say("calculator"), title: say("calculator-help") }),
      make("p", { class: "note", text: say("calculator-help") }),
      make("div", { class: "line choices" }, ...choices),
      this.notes,
      this.edits.element,
      this.verdict,
      this.waiting,
      this.stepsPanel.element,
    );
  }

  /** Makes the viewer show another `mapIndex`, `head` or `query`; what is not given stays. */
  select(changes) {
    const { header, view } = this.viewer;
    const target = calculatorTarget(header, { ...view, mapRef: view.map, chosenStream: chosenStream(header, view) });
    const { mapIndex, head, query } = { ...target, ...changes };
    const isSameStream = header.maps[target.mapIndex].queries === header.maps[mapIndex].queries;
    const tokens = [isSameStream ? query : header.answer_tokens[header.maps[mapIndex].queries]];
    const map = formatMapRef(header, mapIndex, Math.min(head, header.maps[mapIndex].heads - 1));
    this.viewer.pinned = true;
    this.viewer.setView({ ...view, map, tokens, versus: [], direction: "from" });
    this.viewer.announcer.announceView();
  }

  chooseKey(key) {
    this.chosenKey = key;
    this.viewer.repaint();
  }

  resize() {}

  paint(frame) {
    const { header } = this.viewer;
    if (!header.steps || !this.isDueNow()) return;
    const target = calculatorTarget(header, frame);
    const steps = this.viewer.steps.get(target.mapIndex);
    this.requestSteps(target.mapIndex, steps);
    this.stepsPanel.element.hidden = this.edits.element.hidden = this.verdict.hidden = !steps;
    if (!steps) return;
    this.current = { ...target, steps, id: `${target.mapIndex}:${target.head}:${target.query}` };
    this.layOut(header.maps[target.mapIndex], steps);
    this.compute();
    this.paintChoices();
    this.edits.paint(this.current);
    this.stepsPanel.paint(this.current);
    this.paintVerdict();
  }

  /** Whether to paint in this frame. Off the screen the panel is painted once the view has rested. */
  isDueNow() {
    clearTimeout(this.offscreenTimer);
    const isDueNow = this.isOnScreen || this.hasRested;
    this.hasRested = false;
    if (isDueNow) return true;
    this.offscreenTimer = setTimeout(() => {
      this.hasRested = true;
      this.viewer.repaint();
    }, OFFSCREEN_DELAY);
    return false;
  }

  /** Requests the steps of a map where they have not arrived, 2 MB or so; those of other maps once they are chosen. */
  requestSteps(mapIndex, steps) {
    const { on, say, fetcher, previewed } = this.viewer;
    const isMissing = !steps && !(on.need && previewed);
    if (isMissing && on.need) fetcher.request(["steps/" + mapIndex]);
    setText(this.waiting, isMissing ? say(on.need ? "calc-fetching" : "calc-not-here") : "");
  }

  /** Lays the steps out anew where the sizes of the vectors differ, and the choices where the streams do. */
  layOut(map, steps) {
    const { header } = this.viewer;
    const sizes = [steps.query.shape, steps.value.shape[2], Boolean(steps.projection), Boolean(steps.to_query)];
    const shapes = [steps.to_key, steps.to_value].map((matrix) => matrix?.shape);
    const layout = [header.run, steps.scale, ...sizes, ...shapes].join();
    if (this.layout !== layout) this.stepsPanel.build(steps);
    this.layout = layout;
    const streams = `${map.queries} ${map.keys}`;
    if (this.streams === streams) return;
    this.streams = streams;
    this.chosenKey = null;
    const { modality } = header.streams[map.keys];
    this.keyOrder = groupByModality(modality);
    this.edits.setKeys(modality);
    this.fillTokens(this.queries.box, map.queries);
    this.fillTokens(this.keys.box, map.keys);
  }

  /** Fills a select box with the tokens of a stream, grouped by modality. */
  fillTokens(box, stream) {
    const { modality, name } = this.viewer.header.streams[stream];
    const groups = MODALITIES.map((group) => {
      const options = name.flatMap((text, token) =>
        modality[token] === group ? [make("option", { value: token, text })] : [],
      );
      return options.length ? make("optgroup", { label: this.viewer.say("modality-" + group) }, ...options) : null;
    });
    box.replaceChildren(...groups.filter(Boolean));
  }

  /** Computes the attention with and without the edits. */
  compute() {
    const { steps, mapIndex, head, query, id } = this.current;
    const edits = this.edits.at(id);
    const computed = computeAttention(steps, head, query, edits);
    const edited = isEdited(edits);
    const unedited = edited ? computeAttention(steps, head, query) : computed;
    const key = this.chosenKey ?? strongest(unedited.weights, 1)[0] ?? 0;
    const { keys } = this.viewer.header.maps[mapIndex];
    const modalities = this.viewer.header.streams[keys].modality;
    const choose = (other) => this.chooseKey(other);
    const keyAxis = { order: this.keyOrder, modalities, chosen: key, choose };
    Object.assign(this.current, { edits, computed, unedited, isEdited: edited, key, modalities, keyAxis });
  }

  paintChoices() {
    const { mapIndex, head, query, key, notes, steps } = this.current;
    const { say } = this.viewer;
    const heads = steps.query.shape[0];
    if (this.heads.box.length !== heads) {
      this.heads.box.replaceChildren(
        ...Array.from({ length: heads }, (_, k) => make("option", { value: k, text: String(k + 1) })),
      );
    }
    for (const [{ box }, value] of [[this.maps, mapIndex], [this.heads, head], [this.queries, query], [this.keys, key]]) {
      if (box.value !== String(value)) box.value = value;
    } // prettier-ignore
    setText(this.notes, notes.map((code) => say(code)).join(" "));
    Object.assign(this.element.dataset, { target: this.current.id, key, edited: this.current.isEdited });
  }

  /** Writes how close the steps are to the model's own; once something is edited, how far the output moved instead. */
  paintVerdict() {
    const { steps, head, query, computed, unedited, isEdited: edited } = this.current;
    const { say } = this.viewer;
    this.verdict.classList.toggle("edited", edited);
    if (edited) {
      const [after, before] = computed.output
        ? [computed.output, unedited.output]
        : [computed.attnOutput, unedited.attnOutput];
      const change = norm(after.map((number, k) => number - before[k]));
      const [moved, length] = [formatNumber(change), formatNumber(norm(before))];
      const isOutput = Boolean(computed.output);
      const text = isOutput ? say("calc-edited", { moved, length }) : say("calc-edited-head", { moved, length });
      return setText(this.verdict, text);
    }
    const largest = differences(steps, head, query, computed);
    const [weights, attnOutput] = [formatNumber(largest.weights, 2), formatNumber(largest.attnOutput, 2)];
    const output = formatNumber(largest.output ?? 0, 2);
    const isHeadOnly = largest.output === null;
    setText(
      this.verdict,
      isHeadOnly ? say("calc-parity-head", { weights, attn_output: attnOutput }) : say("calc-parity", { weights, attn_output: attnOutput, output }),
    );
  }

  /** Returns the name of a key, or of a query. */
  nameOf(token, isQuery = false) {
    const { header } = this.viewer;
    const { queries, keys } = header.maps[this.current.mapIndex];
    return header.streams[isQuery ? queries : keys].name[token];
  }

  destroy() {
    clearTimeout(this.offscreenTimer);
    this.observer.disconnect();
  }
}
