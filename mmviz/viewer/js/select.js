// What is looked at, as plain values, and how a click, a key or a link changes it. No DOM.
import { streamsOf } from "./pooledMap.js";

/** The stream whose tokens are chosen in a view: of the queries if they ask, of the keys if they are asked. */
export function chosenStream(header, view) {
  return streamsOf(header, view.plane)[view.direction === "from" ? 0 : 1];
}

/** The stream that is lit. */
export function litStream(header, view) {
  return streamsOf(header, view.plane)[view.direction === "from" ? 1 : 0];
}

/** `view` for pointing at tokens of `stream`: tokens that only ask, or are only asked, settle the direction. */
export function facing(header, view, stream) {
  if (chosenStream(header, view) === stream) return view;
  return { ...turned(header, view), tokens: [], versus: [] };
}

/** The other direction. The tokens stay where both streams are one. */
export function turned(header, view) {
  const [queries, keys] = streamsOf(header, view.plane);
  const direction = view.direction === "from" ? "to" : "from";
  return queries === keys ? { ...view, direction } : { ...view, direction, tokens: [0], versus: [] };
}

/** Another plane. Where its streams are others, the choice starts anew. */
export function withPlane(header, view, plane) {
  const next = { ...view, plane };
  if (chosenStream(header, next) === chosenStream(header, view)) return next;
  return { ...next, tokens: [0], versus: [] };
}

/**
 * A click on `tokens` of the chosen stream, where `pinned` says whether something is pinned already: the first pin,
 * then the second, which moves with further clicks; clicking a pin again takes it away.
 */
export function pin(view, tokens, pinned, start) {
  if (pinned && same(view.tokens, tokens)) {
    if (view.versus.length) return { view: { ...view, tokens: view.versus, versus: [] }, pinned: true };
    return { view: { ...view, tokens: start }, pinned: false };
  }
  if (same(view.versus, tokens)) return { view: { ...view, versus: [] }, pinned: true };
  if (pinned) return { view: { ...view, versus: tokens }, pinned: true };
  return { view: { ...view, tokens, versus: [] }, pinned: true };
}

/** Escape: the second pin goes first, then the first. */
export function unpin(view, start) {
  if (view.versus.length) return { view: { ...view, versus: [] }, pinned: true };
  return { view: { ...view, tokens: start }, pinned: false };
}

export function same(one, other) {
  return one.length === other.length && one.every((token, k) => token === other[k]);
}

/** The columns of the overview in a row: heads, then their mean. */
export function columns(header, map) {
  return [...Array(header.maps[map].heads).keys(), "mean"];
}

/** The row and the column of a plane in the overview; null for what runs through all layers. */
export function cellOf(header, plane) {
  const [map, head] = plane.split(":");
  if (head === undefined) return null;
  return { map: Number(map), column: head === "mean" ? header.maps[Number(map)].heads : Number(head) };
}

/** One step through the overview; from rollout or relevance it leads to the mean of the last layer. */
export function stepped(header, plane, down, right) {
  const cell = cellOf(header, plane);
  if (!cell) return `${header.maps.length - 1}:mean`;
  const isMean = cell.column === header.maps[cell.map].heads;
  const map = Math.min(header.maps.length - 1, Math.max(0, cell.map + down));
  const heads = header.maps[map].heads;
  const column = down && isMean ? heads : Math.min(heads, Math.max(0, cell.column + right));
  return `${map}:${column === heads ? "mean" : column}`;
}

const KEYS = ["plane", "tokens", "versus", "direction", "style", "scale"];

/** A view as the fragment of an address, for the file. */
export function toFragment(view) {
  return KEYS.map((key) => `${key}=${Array.isArray(view[key]) ? view[key].join(".") : view[key]}`).join("&");
}

/** The view that a fragment stands for; null where it is not one of this run. */
export function fromFragment(header, fragment) {
  const found = Object.fromEntries(new URLSearchParams(fragment));
  if (!header.planes.includes(found.plane)) return null;
  const view = {
    plane: found.plane,
    direction: found.direction === "to" ? "to" : "from",
    style: found.style === "heat" ? "heat" : "spotlight",
    scale: found.scale === "map" ? "map" : "view",
  };
  const count = header.streams[chosenStream(header, view)].modality.length;
  const read = (list) => (list ? list.split(".").map(Number) : []);
  view.tokens = read(found.tokens);
  view.versus = read(found.versus);
  const isThere = (token) => Number.isInteger(token) && token >= 0 && token < count;
  return view.tokens.length && [...view.tokens, ...view.versus].every(isThere) ? view : null;
}
