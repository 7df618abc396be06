// Lines from the token under the pointer to its strongest tokens, across the panels.
import { strongest } from "./attentionRows.js";
import { shareOfScale } from "./colours.js";
import { makeSvg } from "./svg.js";

const MAX_LINKS = 3;
const WEAKEST = 0.25; // share of the scale from which a token gets a line

/** The lines of a viewer, over its panels. */
export class TokenLinks {
  constructor({ image, text, audio }) {
    this.panels = [image, text, audio];
    this.element = makeSvg("svg", { class: "links", "aria-hidden": "true" });
  }

  /** Draws the lines of a frame while a single token is pointed at; else none. */
  paint(frame, hovered) {
    const isSingle = hovered?.tokens.length === 1 && frame.amounts && !frame.isDifference;
    const origin = isSingle ? this.placeOf(hovered.stream, hovered.tokens[0]) : null;
    const lines = origin ? this.linesFrom(origin, frame, hovered) : [];
    this.element.replaceChildren(...lines);
    this.element.toggleAttribute("hidden", !lines.length);
  }

  /** Returns the box of a token on the screen; null where no panel shows it. */
  placeOf(stream, token) {
    for (const panel of this.panels) {
      const box = panel.placeOf(stream, token);
      if (box) return box;
    }
    return null;
  }

  linesFrom(origin, frame, { stream, tokens }) {
    const area = this.element.parentElement.getBoundingClientRect();
    const ends = strongest(frame.amounts, MAX_LINKS + 1)
      .filter((token) => token !== tokens[0] || stream !== frame.litStream)
      .slice(0, MAX_LINKS)
      .map((token) => ({ share: shareOfScale(frame.amounts[token], frame.largest), box: this.placeOf(frame.litStream, token) }))
      .filter(({ share, box }) => box && share >= WEAKEST);
    return ends.flatMap(({ share, box }) => {
      const [start, end] = betweenEdges(origin, box, area);
      const place = { x1: start.x, y1: start.y, x2: end.x, y2: end.y };
      return [
        makeSvg("line", { ...place, class: "under", "stroke-width": 3 + 3 * share }),
        makeSvg("line", { ...place, class: "over", "stroke-width": 1 + 2.5 * share }),
        ...["under", "over"].map((name) => ring(box, area, name, share)),
      ];
    });
  }
}

/** Returns the ends of a line between two boxes on the screen, {x, y} in the coordinates of `area`, each at the edge of its box. */
function betweenEdges(first, second, area) {
  const middle = ({ left, top, width, height }) => ({ x: left + width / 2 - area.left, y: top + height / 2 - area.top });
  const [from, to] = [middle(first), middle(second)];
  const edgeOf = (box, start, end) => {
    const [x, y] = [end.x - start.x, end.y - start.y];
    const reach = Math.min(box.width / 2 / Math.abs(x || 1e-9), box.height / 2 / Math.abs(y || 1e-9), 0.5);
    return { x: start.x + reach * x, y: start.y + reach * y };
  };
  return [edgeOf(first, from, to), edgeOf(second, to, from)];
}

function ring({ left, top, width, height }, area, name, share) {
  const stroke = (name === "under" ? 3 : 1) + 2 * share;
  const place = { x: left - area.left - 1, y: top - area.top - 1, width: width + 2, height: height + 2, rx: 4 };
  return makeSvg("rect", { ...place, class: name, "stroke-width": stroke });
}
