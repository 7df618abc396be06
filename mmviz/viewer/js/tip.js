// A small label beside the pointer.
import { make, setText } from "./dom.js";

const WIDE = 180; // CSS pixels that it may need to its right
const OFF = 14;

/** The label of a viewer; it is for the eyes alone, what it says stands in the readout too. */
export class Tip {
  constructor(root) {
    this.root = root;
    this.element = make("div", { class: "tip", hidden: true, "aria-hidden": "true" });
  }

  hide() {
    this.element.hidden = true;
  }

  show(words, event) {
    const box = this.root.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top + OFF];
    const isLeft = x > box.width - WIDE;
    setText(this.element, words);
    this.element.style.transform = `translate(${isLeft ? x - OFF : x + OFF}px, ${y}px) translateX(${isLeft ? -100 : 0}%)`;
    this.element.hidden = false;
  }
}
