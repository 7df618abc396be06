// Numbers on a canvas that are read one at a time, under the pointer or with the arrow keys.
import { fitCanvas, make, setText } from "./dom.js";

const PAGE = 10; // numbers that PageUp and PageDown move

/**
 * A canvas whose numbers are read one at a time, under the pointer or with the arrow keys; `output` shows the number.
 * Subclasses set `count`, `describe(index)`, `indexAt(x, y)` and, where a number can be chosen, `choose(index)`.
 */
export class ReadableCanvas {
  constructor(viewer, output, label) {
    Object.assign(this, { viewer, output, at: 0, count: 0 });
    this.canvas = make("canvas", { "aria-hidden": "true" });
    this.stage = make(
      "div",
      {
        class: "stage",
        role: "slider",
        tabindex: "0",
        "data-roving": "true",
        "aria-label": label,
        "aria-valuemin": "1",
      },
      this.canvas,
    );
    this.stage.addEventListener("pointermove", (event) => this.point(event));
    this.stage.addEventListener("pointerleave", () => viewer.tooltip.hide());
    this.stage.addEventListener("click", (event) => this.choose?.(this.indexUnder(event)));
    this.stage.addEventListener("keydown", (event) => this.press(event));
    this.stage.addEventListener("focus", () => this.stage.matches(":focus-visible") && this.read());
  }

  indexUnder(event) {
    const box = this.stage.getBoundingClientRect();
    const index = this.indexAt(event.clientX - box.left, event.clientY - box.top);
    return Math.min(this.count - 1, Math.max(0, Math.floor(index)));
  }

  point(event) {
    const text = this.describe(this.indexUnder(event));
    setText(this.output, text);
    if (event.pointerType !== "touch") this.viewer.tooltip.show(text, event);
  }

  press(event) {
    const by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: PAGE, PageDown: -PAGE }[event.key];
    if (by) this.at += by;
    else if (event.key === "Home") this.at = 0;
    else if (event.key === "End") this.at = this.count - 1;
    else return;
    this.at = Math.min(this.count - 1, Math.max(0, this.at));
    event.preventDefault();
    event.stopPropagation();
    this.choose?.(this.at);
    this.read();
  }

  /** Shows the number that the arrow keys have reached. */
  read() {
    this.updateAria();
    setText(this.output, this.describe(this.at));
  }

  /** Tells assistive technology the position and the number there. */
  updateAria() {
    this.at = Math.min(this.at, this.count - 1);
    this.stage.setAttribute("aria-valuemax", this.count);
    this.stage.setAttribute("aria-valuenow", this.at + 1);
    this.stage.setAttribute("aria-valuetext", this.describe(this.at));
  }

  /** Draws an outline that stands out on light and on dark: a line over a thicker one of the background's colour. */
  outline(context, x, y, width, height, backgroundWidth = 4) {
    const { background, text } = this.viewer.colours;
    for (const [colour, lineWidth] of [[background, backgroundWidth], [text, 1.5]]) {
      context.strokeStyle = colour;
      context.lineWidth = lineWidth;
      context.strokeRect(x, y, width, height);
    } // prettier-ignore
  }

  /** Gives the canvas its size in CSS pixels. Returns its cleared 2D context. */
  fit(width, height) {
    [this.width, this.height] = [width, height];
    this.stage.style.height = `${height}px`;
    const context = fitCanvas(this.canvas, width, height);
    context.clearRect(0, 0, width, height);
    return context;
  }
}
