// Pointing at tokens of a panel by mouse, pen or finger: hover, click, and dragging over several.

const SLACK = 5; // CSS pixels that a click may move

/**
 * `find(x, y)` gives {stream, token} at a place of `area`, or null; `between(first, last)` the tokens that a drag
 * covers. Calls `on.hover(found | null)`, `on.drag(stream, tokens)` and `on.click(stream, tokens)`.
 */
export function listen(area, find, between, on) {
  let start = null;
  let dragged = null;
  const at = (event) => {
    const box = area.getBoundingClientRect();
    return find(event.clientX - box.left, event.clientY - box.top, event);
  };
  area.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    const found = at(event);
    if (!found) return;
    start = { found, x: event.clientX, y: event.clientY };
    dragged = null;
  });
  area.addEventListener("pointermove", (event) => {
    const found = at(event);
    const isFar = start && Math.hypot(event.clientX - start.x, event.clientY - start.y) > SLACK;
    if (isFar && event.buttons & 1) {
      if (!dragged && event.pointerType !== "touch") area.setPointerCapture(event.pointerId);
      if (found && found.stream === start.found.stream) {
        dragged = between(start.found, found);
        on.drag(found.stream, dragged);
      }
      return;
    }
    on.hover(found, event);
  });
  area.addEventListener("pointerup", () => {
    if (start) on.click(start.found.stream, dragged ?? [start.found.token]);
    start = dragged = null;
  });
  area.addEventListener("pointercancel", () => {
    start = dragged = null;
    on.hover(null);
  });
  area.addEventListener("pointerleave", () => {
    if (!dragged) on.hover(null);
  });
}

/** Every token of a stream from one to another, in order. */
export function tokensBetween(first, last) {
  const [low, high] = [Math.min(first.token, last.token), Math.max(first.token, last.token)];
  return Array.from({ length: high - low + 1 }, (_, k) => low + k);
}
