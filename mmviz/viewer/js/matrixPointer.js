// Pointing at the cells of the matrix: hover, click, dragging a box to zoom into, wheel and keys.
import { listenToFingers } from "./matrixTouch.js";

export const MIN_CELLS = 4; // cells along a side at the closest zoom
const DRAG_SLACK = 6; // CSS pixels that the pointer may move during a click

/** Makes `panel`, a matrix panel, follow pointer, wheel and keys. */
export function listenToCells(panel) {
  const haveFingersMoved = listenToFingers(panel);
  const local = (event) => {
    const box = panel.stage.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const tokenOf = (cell) =>
    panel.viewer.view.direction === "from" ? [panel.attnMap.queryStream, cell.q] : [panel.attnMap.keyStream, cell.k];
  panel.stage.addEventListener("pointerdown", (event) => {
    const cell = panel.cellAt(event);
    if (!cell || event.button !== 0 || event.pointerType === "touch") return; // a finger: matrixTouch.js
    const [x, y] = local(event);
    panel.box = { x0: x, y0: y, x1: x, y1: y, cell };
  });
  panel.stage.addEventListener("pointermove", (event) => {
    const cell = panel.cellAt(event);
    if (panel.box) [panel.box.x1, panel.box.y1] = local(event);
    panel.describe(cell);
    if (cell) {
      const [stream, token] = tokenOf(cell);
      panel.viewer.hover({ stream, token });
    } else panel.viewer.hover(null);
  });
  panel.stage.addEventListener("pointerleave", () => {
    panel.box = null;
    panel.describe(null);
    panel.viewer.hover(null);
  });
  panel.stage.addEventListener("pointerup", (event) => {
    const { box } = panel;
    panel.box = null;
    const cell = panel.cellAt(event);
    if (!cell || (event.pointerType === "touch" && haveFingersMoved())) return;
    if (box && Math.hypot(box.x1 - box.x0, box.y1 - box.y0) > DRAG_SLACK) {
      const [q, k] = [Math.min(box.cell.q, cell.q), Math.min(box.cell.k, cell.k)];
      const size = (first, last, total) => Math.max(Math.min(MIN_CELLS, total), Math.abs(first - last) + 1);
      panel.showWindow(q, k, size(box.cell.q, cell.q, panel.attnMap.queries), size(box.cell.k, cell.k, panel.attnMap.keys));
      return;
    }
    const [stream, token] = tokenOf(cell);
    panel.viewer.click(stream, [token], event.pointerType === "touch" ? "tap" : "pin");
  });
  panel.stage.addEventListener("dblclick", () => panel.showAll());
  panel.stage.addEventListener(
    "wheel",
    (event) => {
      if (!event.ctrlKey && !event.metaKey) return; // the page scrolls
      event.preventDefault();
      const cell = panel.cellAt(event);
      if (cell) panel.zoom(event.deltaY < 0 ? 0.8 : 1.25, { q: cell.q + 0.5, k: cell.k + 0.5 });
    },
    { passive: false },
  );
  panel.stage.addEventListener("keydown", (event) => {
    const pan = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (event.key === "+" || event.key === "=") panel.zoom(0.5);
    else if (event.key === "-") panel.zoom(2);
    else if (event.key === "0") panel.showAll();
    else if (pan && event.shiftKey && panel.window) {
      const { q, k, queries, keys } = panel.window;
      const by = (count) => Math.max(1, Math.round(count / 4));
      panel.showWindow(q + pan[0] * by(queries), k + pan[1] * by(keys), queries, keys);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });
}
