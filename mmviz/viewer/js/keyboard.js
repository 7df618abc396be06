// Keys of the whole viewer: arrows through layers and heads, D turns the direction, Escape unpins.
import { stepped } from "./select.js";

const STEPS_OF = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
const TYPED = "input, select, textarea";
const OTHERS = "input, textarea, select, button, a, summary, [contenteditable], [role]";

/** Listen while the focus is in the viewer; D and Escape also while the pointer is. The result ends it. */
export function listenToKeys(viewer) {
  const { root } = viewer;
  let isOver = false;
  root.tabIndex = -1; // a click on a canvas gives the viewer the keys
  root.addEventListener("pointerdown", (event) => {
    if (!event.target.closest(`${TYPED}, button, label, summary, [tabindex='0']`)) root.focus({ preventScroll: true });
  });
  root.addEventListener("pointerenter", () => (isOver = true));
  root.addEventListener("pointerleave", () => (isOver = false));
  const key = (event) => {
    const path = event.composedPath();
    const isInside = path.includes(root);
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (isInside && path[0].matches?.(TYPED)) return; // the key is theirs
    if (!isInside && (!isOver || path[0].closest?.(OTHERS))) return;
    const isRoving = Boolean(path[0].dataset?.rover);
    const step = isInside && !isRoving && !event.shiftKey && STEPS_OF[event.key];
    if (step) viewer.choosePlane(stepped(viewer.header, viewer.view.plane, ...step));
    else if (event.key === "d" || event.key === "D") viewer.turn();
    else if (event.key === "Escape" && viewer.pinned) viewer.unpin();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  document.addEventListener("keydown", key, true);
  return () => document.removeEventListener("keydown", key, true);
}
