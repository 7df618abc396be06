// The tokens of a panel as one tab stop: arrow keys, Home and End move the focus among them (ARIA practices, grid).
import { make, makeProxy } from "./dom.js";

const MAX_BUTTONS = 400; // with more tokens, one element takes the focus for all of them
const SAME_ROW = 0.25; // of the height of a row: how far below its first box a box may begin

/** Returns rows of indices of `boxes` [x0, y0, x1, y1], from the top; each row from the left. */
export function rowsOf(boxes) {
  const rows = [];
  let limit = -Infinity;
  const byTop = boxes.map((_, k) => k).sort((a, b) => boxes[a][1] - boxes[b][1]);
  for (const k of byTop) {
    const [, top, , bottom] = boxes[k];
    if (top > limit) {
      rows.push([]);
      limit = top + SAME_ROW * (bottom - top);
    }
    rows.at(-1).push(k);
  }
  for (const row of rows) row.sort((a, b) => boxes[a][0] - boxes[b][0] || a - b);
  return rows;
}

/**
 * Returns the index of the box that `key` leads to from box `at`; null for a key that moves nothing. Left and right stay
 * in the row, up and down go to the nearest box of the next row, Home and End to the ends of the row, and with
 * `isWhole` (Ctrl is held) to the first and the last box of all.
 */
export function nextInGrid(boxes, at, key, isWhole = false) {
  const rows = rowsOf(boxes);
  const rowIndex = rows.findIndex((row) => row.includes(at));
  const row = rows[rowIndex];
  const column = row.indexOf(at);
  if (key === "ArrowRight") return row[Math.min(row.length - 1, column + 1)];
  if (key === "ArrowLeft") return row[Math.max(0, column - 1)];
  if (key === "Home") return (isWhole ? rows[0] : row)[0];
  if (key === "End") return (isWhole ? rows.at(-1) : row).at(-1);
  if (key !== "ArrowUp" && key !== "ArrowDown") return null;
  const next = rows[rowIndex + (key === "ArrowDown" ? 1 : -1)];
  if (!next) return at;
  const middle = (k) => (boxes[k][0] + boxes[k][2]) / 2;
  const distance = (k) => Math.abs(middle(k) - middle(at));
  return next.reduce((nearest, k) => (distance(k) < distance(nearest) ? k : nearest));
}

const MIRRORED = { ArrowLeft: "ArrowRight", ArrowRight: "ArrowLeft", Home: "End", End: "Home" };

/** Returns the same for words in lines: left and right go on in the next line, in the direction that is read. */
export function nextInLines(boxes, at, key, isWhole, isRightToLeft) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[isRightToLeft ? (MIRRORED[key] ?? key) : key];
  if (step) return Math.min(boxes.length - 1, Math.max(0, at + step));
  if (isWhole && key === "Home") return 0;
  if (isWhole && key === "End") return boxes.length - 1;
  return nextInGrid(boxes, at, isRightToLeft ? (MIRRORED[key] ?? key) : key);
}

/** Makes `buttons` in `container` one tab stop. `next(at, key, isWhole)` returns the index that a key leads to, or null. */
export function useRovingTabindex(container, buttons, next) {
  container.dataset.roving = "true";
  let at = 0;
  buttons.forEach((button, k) => (button.tabIndex = k === at ? 0 : -1));
  container.addEventListener("focusin", ({ target }) => {
    const index = buttons.indexOf(target);
    if (index < 0) return;
    buttons[at].tabIndex = -1;
    at = index;
    buttons[at].tabIndex = 0;
  });
  container.addEventListener("keydown", (event) => {
    const index = next(at, event.key, event.ctrlKey || event.metaKey);
    if (index === null || event.shiftKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    buttons[index].focus();
  });
}

/**
 * Returns one tab stop for the tokens of a stream, {token, box}, and a button for each of them, none where they are too
 * many. `name` is what they are tokens of. The panel lays out the buttons.
 */
export function makeTokenGrid(viewer, stream, places, name) {
  const label = viewer.say("roving-label", { name, count: places.length });
  const boxes = places.map(({ box }) => box);
  const next = (at, key, isWhole) => nextInGrid(boxes, at, key, isWhole);
  if (places.length > MAX_BUTTONS) {
    return { element: makeTokenArea(viewer, stream, places, label, next), buttons: [] };
  }
  const names = viewer.header.streams[stream].full_name;
  const buttons = places.map(({ token }) => makeProxy(stream, token, names[token]));
  const rows = rowsOf(boxes).map((row) =>
    make("div", { role: "row" }, ...row.map((k) => make("div", { role: "gridcell" }, buttons[k]))),
  );
  const element = make("div", { role: "grid", "aria-label": label }, ...rows);
  useRovingTabindex(element, buttons, next);
  return { element, buttons };
}

/** Returns an element that takes the focus for all tokens; keys point at one of them, Enter and space click it. */
function makeTokenArea(viewer, stream, places, label, next) {
  const area = make("div", { class: "token-area", tabindex: "0", role: "group", "data-roving": "true" });
  area.setAttribute("aria-label", label);
  let at = 0;
  const point = () => {
    const target = { stream, token: places[at].token };
    viewer.hover(target);
    viewer.announcer.announceToken(target);
  };
  area.addEventListener("keydown", (event) => {
    const isClick = event.key === "Enter" || event.key === " ";
    const index = isClick ? at : next(at, event.key, event.ctrlKey || event.metaKey);
    if (index === null || event.shiftKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    if (isClick) return viewer.click(stream, [places[at].token]);
    at = index;
    point();
  });
  area.addEventListener("focus", () => area.matches(":focus-visible") && point());
  return area;
}
