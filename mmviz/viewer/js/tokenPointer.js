// Pointing at the tokens of a panel by mouse, pen or finger: hover, click, and dragging over several.

const CLICK_SLACK = 5; // CSS pixels that the pointer may move during a click
const TAP_SLACK = 10; // and a finger
const LONG_PRESS = 500; // milliseconds

/**
 * Listens to the pointer on `area`. `find(x, y, event)` returns the {stream, token} at a position, or null, with a
 * `last` token where several are shown as one;
 * `between(first, last)` returns the tokens that a drag covers, or a click with Shift after another click. Calls
 * `on.hover(target, event)` (null for none), `on.drag(stream, tokens)` and `on.click(stream, tokens, how)`, see `howChosen`.
 */
export function listenToPointer(area, find, between, on) {
  let start = null;
  let dragged = null;
  let last = null;
  let timer = null; // of a finger that stays
  const targetOf = (event) => {
    const box = area.getBoundingClientRect();
    return find(event.clientX - box.left, event.clientY - box.top, event);
  };
  area.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    const target = targetOf(event);
    if (!target) return;
    start = { target, x: event.clientX, y: event.clientY };
    dragged = null;
    clearTimeout(timer);
    if (event.pointerType !== "touch") return;
    timer = setTimeout(() => {
      start = null; // the finger that is lifted chooses nothing more
      on.click(target.stream, targetTokens(target), "pin");
    }, LONG_PRESS);
  });
  area.addEventListener("contextmenu", (event) => event.pointerType === "touch" && event.preventDefault());
  area.addEventListener("pointermove", (event) => {
    const target = targetOf(event);
    const slack = event.pointerType === "touch" ? TAP_SLACK : CLICK_SLACK;
    const isFar = start && Math.hypot(event.clientX - start.x, event.clientY - start.y) > slack;
    if (isFar && event.buttons & 1) {
      clearTimeout(timer);
      if (!dragged && event.pointerType !== "touch") area.setPointerCapture(event.pointerId);
      if (target && target.stream === start.target.stream) {
        dragged = between(start.target, target);
        on.drag(target.stream, dragged);
      }
      return;
    }
    on.hover(target, event);
  });
  area.addEventListener("pointerup", (event) => {
    clearTimeout(timer);
    if (start) {
      const { target } = start;
      const how = howChosen(event);
      const isRange = how === "all" && last?.stream === target.stream;
      on.click(target.stream, dragged ?? (isRange ? between(last, target) : targetTokens(target)), how);
      if (!isRange) last = target;
    }
    start = dragged = null;
  });
  area.addEventListener("pointercancel", () => {
    clearTimeout(timer);
    start = dragged = null;
    on.hover(null);
  });
  area.addEventListener("pointerleave", () => {
    if (!dragged) on.hover(null);
  });
}

/**
 * Returns how a click chooses tokens: "all" with Shift (all from the one before to this one), "more" with Ctrl or Cmd
 * (together with those chosen before, or no longer), "tap" with a finger (these alone), else "pin" (see viewState.js).
 */
export function howChosen(event) {
  if (event.pointerType === "touch") return "tap";
  if (event.shiftKey) return "all";
  return event.ctrlKey || event.metaKey ? "more" : "pin";
}

/** Returns the tokens of a {stream, token, last}, which are several where it has a `last` one. */
export function targetTokens(target) {
  return tokensBetween(target, target);
}

/** Returns every token of a stream from one target to another, in order. */
export function tokensBetween(first, last) {
  const low = Math.min(first.token, last.token);
  const high = Math.max(first.last ?? first.token, last.last ?? last.token);
  return Array.from({ length: high - low + 1 }, (_, k) => low + k);
}
