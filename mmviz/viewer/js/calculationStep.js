// One step of a calculation: its text beside its figures.
import { make } from "./dom.js";
import { formatNumber } from "./numberFormat.js";

/** One step: title, formula and explanation, and its figures beside them. */
export class Step {
  constructor(viewer, code, formula) {
    this.numbers = make("p", { class: "numbers-line" });
    this.difference = make("p", { class: "difference", "data-part": code + "-difference" });
    this.reading = make("output", { class: "reading" });
    this.figures = make("div", { class: "figures" });
    const { say } = viewer;
    const title = make("h4", { text: say(code) });
    const formulaLine = make("p", { class: "formula", text: formula });
    const help = make("p", { class: "note", text: say(code + "-help") });
    const text = make("div", { class: "explanation" }, title, formulaLine, help, this.numbers, this.difference);
    this.element = make("li", { "data-step": code }, text, make("div", {}, this.figures, this.reading));
  }

  add(...parts) {
    this.figures.append(...parts.map((part) => part.element ?? part));
  }
}

/** Returns a number as a factor: in brackets where it is negative. */
export function bracketed(value, digits = 3) {
  return value < 0 ? `(${formatNumber(value, digits)})` : formatNumber(value, digits);
}
