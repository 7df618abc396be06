// The view as plain values, and how a click, a key or a link changes it. No DOM.
//
// A view has `map` (a MapRef), `tokens` and `versus` (indices; `versus` holds the second group of a comparison),
// `direction` ("from": what the tokens attend to, "to": what attends to them), `style` and `scale`.
import { formatMapRef, parseMapRef, readMapRef, streamsOf } from "./mapRef.js";
import { lastMapOf, mapsByStack } from "./modelStacks.js";

/** Returns the stream whose tokens are chosen in a view: the queries for "from", the keys for "to". */
export function chosenStream(header, view) {
  return streamsOf(header, view.map)[view.direction === "from" ? 0 : 1];
}

/** Returns the tokens that are chosen first in the chosen stream of a view: the one that answers. */
export function answerTokens(header, view) {
  return [header.answer_tokens[chosenStream(header, view)]];
}

/** Returns the stream that amounts are shown on, which lights up. */
export function litStream(header, view) {
  return streamsOf(header, view.map)[view.direction === "from" ? 1 : 0];
}

/** Returns the view for choosing tokens of `stream`: a stream that holds only queries or only keys sets the direction. */
export function viewForStream(header, view, stream) {
  if (chosenStream(header, view) === stream) return view;
  return { ...withOtherDirection(header, view), tokens: [], versus: [] };
}

/** Returns the view in the other direction. The tokens stay where queries and keys are the same stream. */
export function withOtherDirection(header, view) {
  const [queries, keys] = streamsOf(header, view.map);
  const direction = view.direction === "from" ? "to" : "from";
  const next = { ...view, direction };
  return queries === keys ? next : { ...next, tokens: answerTokens(header, next), versus: [] };
}

/** Returns the view of another map. The tokens stay where its chosen stream is the same. */
export function withMap(header, view, mapRef) {
  const next = { ...view, map: mapRef };
  if (chosenStream(header, next) === chosenStream(header, view)) return next;
  return { ...next, tokens: answerTokens(header, next), versus: [] };
}

/**
 * Returns the view after a click on `tokens` of the chosen stream, and whether anything is `pinned`. The first click
 * pins, the second adds the group to compare with, further clicks move that group, a click on a pin removes it.
 */
export function pin(view, tokens, isPinned, startTokens) {
  if (isPinned && sameTokens(view.tokens, tokens)) {
    if (view.versus.length) return { view: { ...view, tokens: view.versus, versus: [] }, pinned: true };
    return { view: { ...view, tokens: startTokens }, pinned: false };
  }
  if (sameTokens(view.versus, tokens)) return { view: { ...view, versus: [] }, pinned: true };
  if (isPinned) return { view: { ...view, versus: tokens }, pinned: true };
  return { view: { ...view, tokens, versus: [] }, pinned: true };
}

/**
 * Returns the view after `tokens` of `stream` were chosen, and whether anything is `pinned`. `state` has the `view`,
 * whether anything is `pinned`, and whether a tap `isComparing`; `how` as `howChosen` in tokenPointer.js returns it.
 */
export function choose(header, state, stream, tokens, how, startTokens) {
  const view = viewForStream(header, state.view, stream);
  const isPinned = state.pinned && view === state.view;
  if (how === "tap" && !state.isComparing) return pinOnly(view, tokens, isPinned, startTokens);
  return (how === "more" ? pinMore : pin)(view, tokens, isPinned && how !== "all", startTokens);
}

/** Returns the view after a tap on `tokens`, which are then the only ones; a tap on what is pinned unpins it. */
export function pinOnly(view, tokens, isPinned, startTokens) {
  if (isPinned && sameTokens(view.tokens, tokens) && !view.versus.length) return unpin(view, startTokens);
  return { view: { ...view, tokens, versus: [] }, pinned: true };
}

/**
 * Returns the view after tokens were chosen together with those that are pinned, or taken out of these where all of them
 * are, and whether anything is `pinned`.
 */
export function pinMore(view, tokens, isPinned, startTokens) {
  if (!isPinned) return { view: { ...view, tokens, versus: [] }, pinned: true };
  const isTakenOut = tokens.every((token) => view.tokens.includes(token));
  const others = view.tokens.filter((token) => !tokens.includes(token));
  const together = isTakenOut ? others : [...others, ...tokens].sort((a, b) => a - b);
  if (!together.length) return { view: { ...view, tokens: startTokens, versus: [] }, pinned: false };
  return { view: { ...view, tokens: together, versus: [] }, pinned: true };
}

/** Returns the view after Escape, which removes the second pin first, and whether anything is still `pinned`. */
export function unpin(view, startTokens) {
  if (view.versus.length) return { view: { ...view, versus: [] }, pinned: true };
  return { view: { ...view, tokens: startTokens }, pinned: false };
}

export function sameTokens(first, second) {
  return first.length === second.length && first.every((token, k) => token === second[k]);
}

/** Returns the columns of the overview for a map: its heads, then "mean". */
export function overviewColumns(header, mapIndex) {
  return [...Array(header.maps[mapIndex].heads).keys(), "mean"];
}

/** Returns the row and the column of a map in the overview; null for a flow. */
export function overviewCell(header, mapRef) {
  const parts = parseMapRef(header, mapRef);
  if (!parts) return null;
  const { mapIndex, head } = parts;
  return { mapIndex, column: head === "mean" ? header.maps[mapIndex].heads : head };
}

/** Returns the map one step away in the overview; from a flow, the last of the default stack. */
export function neighbourMap(header, mapRef, down, right) {
  const cell = overviewCell(header, mapRef);
  if (!cell) return lastMapOf(header, header.default_stack);
  const isMean = cell.column === header.maps[cell.mapIndex].heads;
  const rows = mapsByStack(header);
  const mapIndex = rows[Math.min(rows.length - 1, Math.max(0, rows.indexOf(cell.mapIndex) + down))];
  const { heads } = header.maps[mapIndex];
  const column = down && isMean ? heads : Math.min(heads, Math.max(0, cell.column + right));
  return formatMapRef(header, mapIndex, column === heads ? "mean" : column);
}

const KEYS = ["map", "tokens", "versus", "direction", "style", "scale"];

/** Returns a view as the fragment of the document's address. The path of a stack may hold any character. */
export function toFragment(view) {
  const encode = (text) => encodeURIComponent(text).replaceAll("%3A", ":").replaceAll("%2F", "/");
  return KEYS.map((key) => `${key}=${encode(Array.isArray(view[key]) ? view[key].join(".") : view[key])}`).join("&");
}

/** Returns the view that a fragment stands for; null where this run has no such view. */
export function fromFragment(header, fragment) {
  const values = Object.fromEntries(new URLSearchParams(fragment));
  const map = readMapRef(header, values.map);
  if (map === null) return null;
  const view = {
    map,
    direction: values.direction === "to" ? "to" : "from",
    style: values.style === "heat" ? "heat" : "spotlight",
    scale: values.scale === "map" ? "map" : "view",
  };
  const count = header.streams[chosenStream(header, view)].modality.length;
  const readTokens = (list) => (list ? list.split(".").map(Number) : []);
  view.tokens = readTokens(values.tokens);
  view.versus = readTokens(values.versus);
  const isToken = (token) => Number.isInteger(token) && token >= 0 && token < count;
  return view.tokens.length && [...view.tokens, ...view.versus].every(isToken) ? view : null;
}
