// A small label beside the pointer, and what it says about the token there.
import { make, setText } from "./dom.js";
import { makeFrame } from "./drawnAmounts.js";
import { meanAmount } from "./foldedTokens.js";
import { describeSelection, formatAmount, nameOf } from "./labels.js";
import { roundedDown } from "./numberFormat.js";
import { correlation, NEARLY_SAME } from "./rowCorrelation.js";
import { targetTokens } from "./tokenPointer.js";
import { nameOfUnit } from "./mapUnits.js";

const WIDTH = 260; // CSS pixels that the label may need to the right of the pointer
const OFFSET = 14;

/** The label of a viewer, hidden from assistive technology: the readout says the same. */
export class Tooltip {
  constructor(viewer) {
    this.viewer = viewer;
    this.element = make("div", { class: "tooltip", hidden: true, "aria-hidden": "true" });
  }

  /** Shows beside the pointer what is known of the {stream, token} under it; null hides it. */
  describe(target, event) {
    if (!target || !event || event.pointerType === "touch") return this.hide();
    const { header, say, attnMaps, scaleEnds, state } = this.viewer;
    const rest = makeFrame(header, attnMaps, scaleEnds, { ...state, hovered: null });
    this.show(describePointed(header, say, rest, this.viewer.makeFrame(), target), event);
  }

  hide() {
    this.element.hidden = true;
  }

  show(text, event) {
    const box = this.viewer.root.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top + OFFSET];
    const isLeft = x > box.width - WIDTH;
    setText(this.element, text);
    this.element.style.transform = `translate(${isLeft ? x - OFFSET : x + OFFSET}px, ${y}px) translateX(${isLeft ? -100 : 0}%)`;
    this.element.hidden = false;
  }
}

/**
 * Returns the lines about the token that is pointed at: its name, its amount in `rest`, the frame without what the
 * pointer is on, and, where the pointer chooses it, whether its own map (`frame`) is nearly that one.
 */
function describePointed(header, say, rest, frame, target) {
  const lines = [nameOf(header, say, target, "full_name")];
  if (rest.amounts && target.stream === rest.litStream) {
    const title = describeSelection(header, say, rest);
    const unit = nameOfUnit(say, rest.mapRef);
    lines.push(say("tooltip-amount", { title, unit, amount: formatAmount(rest, meanAmount(rest.amounts, targetTokens(target))) }));
  }
  const value = samenessOf(frame, rest);
  if (value !== null && value >= NEARLY_SAME) lines.push(say("tooltip-same", { value: roundedDown(value) }));
  return lines.join("\n");
}

/** Returns the correlation of the amounts of two frames; null where they are one, or amounts of different things. */
function samenessOf(frame, rest) {
  if (!rest.amounts || !frame.amounts || rest.isDifference || frame.tokens === rest.tokens) return null;
  if (rest.attnMap !== frame.attnMap || rest.litStream !== frame.litStream) return null;
  return correlation(frame.amounts, rest.amounts);
}
