// What a reader may change in the calculator: temperature, scale, masks and scores.
import { isRootScale, noEdits } from "./attentionSteps.js";
import { MODALITIES } from "./attentionRows.js";
import { make, makeButton, setText } from "./dom.js";
import { formatNumber } from "./numberFormat.js";

const MIN_TEMPERATURE = 0.1; // the slider is logarithmic, from 0.1 to 10
const SLIDER_STEPS = 200; // on either side of 1
const SCORE_STEP = 0.5; // what a press of − or + changes

/** The row of controls above the steps. Edits stay in the browser. */
export class CalculatorEdits {
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
    const range = { min: -SLIDER_STEPS, max: SLIDER_STEPS, value: "0" };
    this.slider = make("input", { type: "range", ...range, "data-part": "calc-temperature" });
    this.slider.addEventListener("input", () => {
      this.temperature = MIN_TEMPERATURE ** (-Number(this.slider.value) / SLIDER_STEPS);
      this.viewer.repaint();
    });
    this.temperatureOutput = make("output", { "data-part": "calc-temperature-value" });
    const help = say("calc-temperature-help");
    this.temperatureName = make("span", { class: "name", text: say("calc-temperature"), title: help });
  }

  buildScale() {
    this.scaleBox = make("input", { type: "checkbox", "data-part": "calc-scale" });
    this.scaleBox.addEventListener("change", () => {
      this.isScaled = this.scaleBox.checked;
      this.viewer.repaint();
    });
    this.scaleName = make("span");
  }

  buildScore() {
    this.score = make("input", { type: "number", step: "any", "data-part": "calc-score" });
    this.score.addEventListener("input", () => {
      const { value, valueAsNumber } = this.score;
      if (value !== "" && Number.isFinite(valueAsNumber)) this.setScore(valueAsNumber);
    });
    this.score.addEventListener("blur", () => this.viewer.repaint());
    this.scoreName = make("span", { class: "name" });
  }

  build() {
    const { say } = this.viewer;
    const button = (code, act) => makeButton(say, code, act);
    const changeBy = (step) => () => this.setScore(this.current.computed.raw[this.current.key] + step);
    this.maskKey = button("calc-mask-key", () => this.toggleMask([this.current.key]));
    this.resetButton = button("calc-reset", () => {
      this.reset();
      this.viewer.repaint();
    });
    const label = (...parts) => make("label", { class: "named" }, ...parts);
    const maskName = make("span", { class: "name", text: say("calc-mask"), title: say("calc-mask-help") });
    const [less, more] = [button("calc-less", changeBy(-SCORE_STEP)), button("calc-more", changeBy(SCORE_STEP))];
    this.reset();
    this.element.replaceChildren(
      label(this.temperatureName, this.slider, this.temperatureOutput),
      label(this.scaleBox, this.scaleName),
      make("div", { class: "named" }, maskName, this.masks),
      make("div", { class: "named" }, label(this.scoreName, this.score), less, more, this.maskKey),
      this.resetButton,
    );
  }

  /** Undoes all edits. */
  reset() {
    this.temperature = 1;
    this.isScaled = true;
    this.blocked = new Set();
    this.scores = new Map(); // by map, head and query: a Map of scores by key
    this.slider.value = 0;
  }

  /** Offers the modalities of the keys of another stream to mask, [key]. */
  setKeys(modalities) {
    this.blocked.clear();
    this.masks.replaceChildren(
      ...MODALITIES.flatMap((modality) => {
        const keys = modalities.flatMap((other, key) => (other === modality ? [key] : []));
        if (!keys.length) return [];
        const text = this.viewer.say("modality-" + modality);
        const button = make("button", { type: "button", "data-value": modality, text });
        button.addEventListener("click", () => this.toggleMask(keys));
        return [Object.assign(button, { keys })];
      }),
    );
  }

  /** Returns the edits of one attention, `id` being MAP:HEAD:QUERY: scores belong to it alone, the others to all. */
  at(id) {
    const { temperature, isScaled, blocked } = this;
    return { temperature, isScaled, blocked, scores: this.scores.get(id) ?? noEdits().scores };
  }

  /** Replaces the score of the chosen key. */
  setScore(score) {
    const { id, key } = this.current;
    if (!this.scores.has(id)) this.scores.set(id, new Map());
    this.scores.get(id).set(key, score);
    this.viewer.repaint();
  }

  /** Masks these keys, or unmasks them where all of them are masked. */
  toggleMask(keys) {
    const areMasked = keys.every((key) => this.blocked.has(key));
    for (const key of keys) {
      if (areMasked) this.blocked.delete(key);
      else this.blocked.add(key);
    }
    this.viewer.repaint();
  }

  paint(current) {
    this.current = current;
    const { steps, computed, key, isEdited } = current;
    const { say } = this.viewer;
    const [size, scale] = [steps.query.shape[2], formatNumber(steps.scale)];
    const temperature = formatNumber(this.temperature, 3);
    setText(this.temperatureOutput, temperature);
    this.slider.setAttribute("aria-valuetext", temperature);
    this.scaleBox.checked = this.isScaled;
    setText(
      this.scaleName,
      isRootScale(steps) ? say("calc-scale-root", { size, scale }) : say("calc-scale", { scale }),
    );
    for (const button of this.masks.children)
      button.setAttribute("aria-pressed", String(button.keys.every((masked) => this.blocked.has(masked))));
    this.maskKey.setAttribute("aria-pressed", String(this.blocked.has(key)));
    setText(this.scoreName, say("calc-score", { token: this.calculator.nameOf(key) }));
    const { activeElement } = this.element.getRootNode();
    if (activeElement !== this.score) this.score.value = Number(computed.raw[key].toPrecision(5));
    this.resetButton.disabled = !isEdited;
  }
}
