// What a reader may change in the calculator: temperature, scale, masks and scores.
import { MODALITIES } from "./attentionRows.js";
import { make, makeButton, setText } from "./dom.js";
import { isRoot, noEdits, plain } from "./steps.js";

const COLDEST = 0.1; // temperatures of the slider, which is logarithmic
const STEPS_OF_SLIDER = 200;
const SCORE_STEP = 0.5; // what a press of − or + changes

/** The row of things to change; nothing of it leaves the browser. */
export class Edits {
  constructor(calculator) {
    this.calculator = calculator;
    this.viewer = calculator.viewer;
    this.element = make("div", { class: "edits", role: "group", "aria-label": this.viewer.say("calc-edits") });
    this.masks = make("div", { class: "switch", role: "group", "aria-label": this.viewer.say("calc-mask") });
    this.buildTemperature();
    this.buildScale();
    this.buildScore();
    this.reset();
  }

  buildTemperature() {
    const { say } = this.viewer;
    const ends = { min: -STEPS_OF_SLIDER, max: STEPS_OF_SLIDER, value: "0" };
    this.heat = make("input", { type: "range", ...ends, "data-part": "calc-temperature" });
    this.heat.addEventListener("input", () => {
      this.temperature = COLDEST ** (-Number(this.heat.value) / STEPS_OF_SLIDER);
      this.viewer.repaint();
    });
    this.heatTold = make("output", { "data-part": "calc-temperature-told" });
    const help = say("calc-temperature-help");
    this.heatName = make("span", { class: "name", text: say("calc-temperature"), title: help });
  }

  buildScale() {
    this.scaling = make("input", { type: "checkbox", "data-part": "calc-scale" });
    this.scaling.addEventListener("change", () => {
      this.isScaled = this.scaling.checked;
      this.viewer.repaint();
    });
    this.scalingName = make("span");
  }

  buildScore() {
    this.score = make("input", { type: "number", step: "any", "data-part": "calc-score" });
    this.score.addEventListener("input", () => {
      if (this.score.value !== "" && Number.isFinite(this.score.valueAsNumber)) this.set(this.score.valueAsNumber);
    });
    this.score.addEventListener("blur", () => this.viewer.repaint());
    this.scoreName = make("span", { class: "name" });
  }

  build() {
    const { say } = this.viewer;
    const button = (code, act) => makeButton(say, code, act);
    const by = (change) => () => this.set(this.now.worked.raw[this.now.key] + change);
    this.block = button("calc-mask-key", () => this.toggle([this.now.key]));
    this.again = button("calc-reset", () => {
      this.reset();
      this.viewer.repaint();
    });
    const label = (...parts) => make("label", { class: "named" }, ...parts);
    const maskName = make("span", { class: "name", text: say("calc-mask"), title: say("calc-mask-help") });
    const [less, more] = [button("calc-less", by(-SCORE_STEP)), button("calc-more", by(SCORE_STEP))];
    this.reset();
    this.element.replaceChildren(
      label(this.heatName, this.heat, this.heatTold),
      label(this.scaling, this.scalingName),
      make("div", { class: "named" }, maskName, this.masks),
      make("div", { class: "named" }, label(this.scoreName, this.score), less, more, this.block),
      this.again,
    );
  }

  reset() {
    this.temperature = 1;
    this.isScaled = true;
    this.blocked = new Set();
    this.replaced = new Map(); // by place, as a score is that of one query and head
    this.heat.value = 0;
  }

  /** Keys of these modalities from now on. */
  fitTo(modalities) {
    this.blocked.clear();
    this.masks.replaceChildren(
      ...MODALITIES.flatMap((modality) => {
        const keys = modalities.flatMap((one, key) => (one === modality ? [key] : []));
        if (!keys.length) return [];
        const text = this.viewer.say("modality-" + modality);
        const button = make("button", { type: "button", "data-value": modality, text });
        button.addEventListener("click", () => this.toggle(keys));
        return [Object.assign(button, { keys })];
      }),
    );
  }

  /** What is changed at a place: the scores are its own. */
  at(id) {
    const { temperature, isScaled, blocked } = this;
    return { temperature, isScaled, blocked, scores: this.replaced.get(id) ?? noEdits().scores };
  }

  set(score) {
    const { id, key } = this.now;
    if (!this.replaced.has(id)) this.replaced.set(id, new Map());
    this.replaced.get(id).set(key, score);
    this.viewer.repaint();
  }

  /** Mask these keys, or let them take part again where all of them are masked. */
  toggle(keys) {
    const isOut = keys.every((key) => this.blocked.has(key));
    for (const key of keys) {
      if (isOut) this.blocked.delete(key);
      else this.blocked.add(key);
    }
    this.viewer.repaint();
  }

  paint(now) {
    this.now = now;
    const { steps, worked, key, isEdited } = now;
    const { say } = this.viewer;
    const [size, scale] = [steps.query.shape[2], plain(steps.scale)];
    setText(this.heatTold, plain(this.temperature, 3));
    this.heat.setAttribute("aria-valuetext", plain(this.temperature, 3));
    this.scaling.checked = this.isScaled;
    const scaling = isRoot(steps) ? say("calc-scale-root", { size, scale }) : say("calc-scale", { scale });
    setText(this.scalingName, scaling);
    for (const button of this.masks.children)
      button.setAttribute("aria-pressed", String(button.keys.every((one) => this.blocked.has(one))));
    this.block.setAttribute("aria-pressed", String(this.blocked.has(key)));
    setText(this.scoreName, say("calc-score", { token: this.calculator.nameOf(key) }));
    const { activeElement } = this.element.getRootNode();
    if (activeElement !== this.score) this.score.value = Number(worked.raw[key].toPrecision(5));
    this.again.disabled = !isEdited;
  }
}
