// Keys of the whole viewer: arrows go through layers and heads, D turns the direction, Escape unpins. While the focus is
// on the tokens of a panel, arrows belong to that panel (see rovingTabindex.js).
import { neighbourMap } from "./viewState.js";

const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
const FIELDS = "input, select, textarea";
const FOCUSABLE = "input, textarea, select, button, a, summary, [contenteditable], [role]";

/**
 * Handles keys while the focus is in the viewer; D and Escape also while the pointer is over it and the focus is on
 * nothing else. Returns a function that removes the listener from the document.
 */
export function listenToKeys(viewer) {
  const { root } = viewer;
  let isOver = false;
  root.tabIndex = -1; // a click on a canvas gives the viewer the focus
  root.addEventListener("pointerdown", (event) => {
    if (!event.target.closest(`${FIELDS}, button, label, summary, [tabindex='0']`)) root.focus({ preventScroll: true });
  });
  root.addEventListener("mousedown", (event) => {
    if (!event.target.closest("[data-token]")) return;
    event.preventDefault(); // a click on a word, too, gives the viewer the focus, not the word
    root.focus({ preventScroll: true });
  });
  root.addEventListener("pointerenter", () => (isOver = true));
  root.addEventListener("pointerleave", () => (isOver = false));
  const onKey = (event) => {
    const path = event.composedPath();
    const isInside = path.includes(root);
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (isInside && path[0].matches?.(FIELDS)) return; // the key belongs to the field
    if (!isInside && (!isOver || path[0].closest?.(FOCUSABLE))) return;
    const isRoving = Boolean(path[0].closest?.("[data-roving]"));
    const step = isInside && !isRoving && !event.shiftKey && ARROWS[event.key];
    if (step) viewer.chooseMap(neighbourMap(viewer.header, viewer.view.map, ...step));
    else if (event.key === "d" || event.key === "D") viewer.toggleDirection();
    else if (event.key === "Escape" && viewer.pinned) viewer.unpin();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  document.addEventListener("keydown", onKey, true);
  return () => document.removeEventListener("keydown", onKey, true);
}
