// A small label beside the pointer.
import { make, setText } from "./dom.js";

const WIDTH = 180; // CSS pixels that the label may need to the right of the pointer
const OFFSET = 14;

/** The label of a viewer, hidden from assistive technology: the readout says the same. */
export class Tooltip {
  constructor(root) {
    this.root = root;
    this.element = make("div", { class: "tooltip", hidden: true, "aria-hidden": "true" });
  }

  hide() {
    this.element.hidden = true;
  }

  show(text, event) {
    const box = this.root.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top + OFFSET];
    const isLeft = x > box.width - WIDTH;
    setText(this.element, text);
    this.element.style.transform = `translate(${isLeft ? x - OFFSET : x + OFFSET}px, ${y}px) translateX(${isLeft ? -100 : 0}%)`;
    this.element.hidden = false;
  }
}
