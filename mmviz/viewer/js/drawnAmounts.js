// What one animation frame shows: the view with what the pointer is on, and the amounts that every panel draws. No DOM.
import { allCheckpoints, amounts, difference, largest, largestOfMap } from "./attentionRows.js";
import { chosenStream, litStream, viewForStream, withMap } from "./viewState.js";

/**
 * Returns the view with what the pointer is on in its place: `hovered` {stream, tokens}, and `previewed`, a MapRef;
 * each null where there is none.
 */
export function currentView(header, { view, hovered, previewed }) {
  const base = previewed ? withMap(header, view, previewed) : view;
  if (!hovered) return base;
  return { ...viewForStream(header, base, hovered.stream), tokens: hovered.tokens, versus: [] };
}

/**
 * Returns everything that the panels draw in one frame:
 * - `mapRef`, and `attnMap` of that name (null where it has not arrived);
 * - `tokens`, `versus`, `direction` and `style` of the view;
 * - `chosenStream`, whose tokens are chosen, and `litStream`, which the amounts are shown on;
 * - `pointed` {stream, token}, the token under the pointer, or null;
 * - `playingWords`, the words of the answer that belong to what plays, as `playingWords` in answerAttention.js returns them;
 * - `amounts` [token of litStream], null without a map; a difference where `isDifference`, means over bins where
 *   `isApproximate`;
 * - `largest`, where the colour scale ends, and `isBeyond`, whether an amount lies above it.
 *
 * `scaleEnds` caches the largest weight of whole maps.
 */
export function makeFrame(header, attnMaps, scaleEnds, state) {
  const view = currentView(header, state);
  const { tokens, versus, direction, style } = view;
  const attnMap = attnMaps.get(view.map);
  const lit = litStream(header, view);
  const frame = {
    mapRef: view.map,
    attnMap,
    tokens,
    versus,
    direction,
    style,
    litStream: lit,
    chosenStream: chosenStream(header, view),
    pointed: state.pointed,
    playingWords: state.playingWords ?? [],
    isDifference: versus.length > 0,
    isApproximate: Boolean(attnMap?.isPooled) && !attnMap.isExact([...tokens, ...versus], direction),
    amounts: null,
  };
  if (!attnMap) return frame;
  const amountsAt = (checkpoint) => {
    const first = amounts(checkpoint, tokens, direction);
    return frame.isDifference ? difference(first, amounts(checkpoint, versus, direction)) : first;
  };
  frame.amounts = amountsAt(attnMap);
  const isDrawn = drawnTokens(header, lit);
  const isWholeMap = view.scale === "map" && !frame.isDifference && !attnMap.isPooled;
  const ends = () =>
    allCheckpoints(attnMap).map((checkpoint) =>
      largest(checkpoint === attnMap ? frame.amounts : amountsAt(checkpoint), isDrawn),
    );
  frame.largest = isWholeMap ? scaleEnd(scaleEnds, attnMap, isDrawn, direction) : Math.max(...ends());
  frame.isBeyond = frame.amounts.some((amount) => Math.abs(amount) > frame.largest * (1 + 1e-6));
  return frame;
}

const drawnByHeader = new WeakMap();

/** Returns for every token of a stream whether it is drawn on an input: it has a location, or is a piece of the text. */
function drawnTokens(header, stream) {
  if (!drawnByHeader.has(header)) drawnByHeader.set(header, new Map());
  const byStream = drawnByHeader.get(header);
  if (!byStream.has(stream)) {
    const inText = new Set((header.text_pieces[stream] ?? []).map(([, token]) => token));
    byStream.set(
      stream,
      header.streams[stream].location.map((location, token) => location !== null || inText.has(token)),
    );
  }
  return byStream.get(stream);
}

/** Returns the largest weight of a whole map, computed once and then kept in `scaleEnds`. */
function scaleEnd(scaleEnds, attnMap, isDrawn, direction) {
  const key = `${attnMap.mapRef} ${direction}`;
  if (!scaleEnds.has(key)) {
    scaleEnds.set(key, largestOfMap(attnMap, isDrawn.some(Boolean) ? isDrawn : null, direction));
  }
  return scaleEnds.get(key);
}
