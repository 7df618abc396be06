// What is looked at just now, and what every panel needs to draw it. No DOM.
import { amounts, difference, everyMoment, largest, largestOfPlane } from "./attentionRows.js";
import { chosenStream, facing, litStream, withPlane } from "./select.js";

/** The view with what the pointer is on in its place: `hovered` {stream, tokens}, `previewed` a plane; null for none. */
export function lookingAt(header, { view, hovered, previewed }) {
  const seen = previewed ? withPlane(header, view, previewed) : view;
  if (!hovered) return seen;
  return { ...facing(header, seen, hovered.stream), tokens: hovered.tokens, versus: [] };
}

/**
 * One picture of all panels: `id` of the plane and the `plane` itself (null where it is not here), the streams `chosen`
 * and `lit`, `amounts` over the lit one, on a scale that ends at `largest` (`isBeyond`: an amount lies above it).
 */
export function makeFrame(header, planes, ceilings, state) {
  const view = lookingAt(header, state);
  const { tokens, versus, direction, style } = view;
  const plane = planes.get(view.plane);
  const lit = litStream(header, view);
  const frame = {
    id: view.plane,
    plane,
    tokens,
    versus,
    direction,
    style,
    lit,
    chosen: chosenStream(header, view),
    pointed: state.pointed,
    isDifference: versus.length > 0,
    isAbout: Boolean(plane?.isLong) && !plane.isExact([...tokens, ...versus], direction),
    amounts: null,
  };
  if (!plane) return frame;
  const amountsOf = (one) => {
    const first = amounts(one, tokens, direction);
    return frame.isDifference ? difference(first, amounts(one, versus, direction)) : first;
  };
  frame.amounts = amountsOf(plane);
  const where = drawnIn(header, lit);
  const isWhole = view.scale === "map" && !frame.isDifference && !plane.isLong;
  const ends = () => everyMoment(plane).map((one) => largest(one === plane ? frame.amounts : amountsOf(one), where));
  frame.largest = isWhole ? ceiling(ceilings, plane, where, direction) : Math.max(...ends());
  frame.isBeyond = frame.amounts.some((amount) => Math.abs(amount) > frame.largest * (1 + 1e-6));
  return frame;
}

const drawn = new WeakMap();

/** For every token of a stream whether it is drawn on an input: it has a place, or is one of the words. */
function drawnIn(header, stream) {
  if (!drawn.has(header)) drawn.set(header, new Map());
  const known = drawn.get(header);
  if (!known.has(stream)) {
    const written = new Set((header.words[stream] ?? []).map(([, token]) => token));
    known.set(
      stream,
      header.streams[stream].where.map((where, token) => where !== null || written.has(token)),
    );
  }
  return known.get(stream);
}

/** The largest amount of a whole plane, worked out once: `ceilings` keeps it. */
function ceiling(ceilings, plane, where, direction) {
  const key = `${plane.id} ${direction}`;
  if (!ceilings.has(key)) {
    ceilings.set(key, largestOfPlane(plane, where.some(Boolean) ? where : null, direction));
  }
  return ceilings.get(key);
}
