// Fingers on the matrix: two pinch to zoom, and one moves the cells while it is zoomed.

const PINCH_STEP = 1.2; // ratio of distances between two fingers for one step of zoom
const SLACK = 10; // CSS pixels that a finger may move during a tap

/** Makes `panel`, a matrix panel, follow fingers. Returns whether they have zoomed or moved since they touched. */
export function listenToFingers(panel) {
  const fingers = new Map(); // pointerId -> event
  let [distance, grip, hasMoved] = [0, null, false];
  const spread = () => {
    const [a, b] = [...fingers.values()];
    return Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
  };
  const end = (event) => {
    fingers.delete(event.pointerId);
    grip = null;
  };
  panel.stage.addEventListener("pointerdown", (event) => {
    if (event.pointerType !== "touch") return;
    if (!fingers.size) hasMoved = false;
    fingers.set(event.pointerId, event);
    grip = fingers.size === 1 && panel.window ? { x: event.clientX, y: event.clientY, ...panel.window } : null;
    if (fingers.size === 2) distance = spread();
  });
  panel.stage.addEventListener("pointermove", (event) => {
    if (!fingers.has(event.pointerId)) return;
    fingers.set(event.pointerId, event);
    if (fingers.size === 2) pinch();
    else if (grip) drag(event);
  });
  for (const name of ["pointerup", "pointercancel", "pointerleave"]) panel.stage.addEventListener(name, end);

  function pinch() {
    hasMoved = true;
    const [a, b] = [...fingers.values()];
    const cell = panel.cellAt({ clientX: (a.clientX + b.clientX) / 2, clientY: (a.clientY + b.clientY) / 2 });
    const centre = cell && { q: cell.q + 0.5, k: cell.k + 0.5 };
    for (; spread() > distance * PINCH_STEP; distance *= PINCH_STEP) panel.zoom(1 / PINCH_STEP, centre);
    for (; spread() < distance / PINCH_STEP; distance /= PINCH_STEP) panel.zoom(PINCH_STEP, centre);
  }

  function drag(event) {
    const [x, y] = [event.clientX - grip.x, event.clientY - grip.y];
    if (!hasMoved && Math.hypot(x, y) < SLACK) return;
    hasMoved = true;
    const { cellWidth, cellHeight } = panel.grid;
    panel.showWindow(grip.q - y / cellHeight, grip.k - x / cellWidth, grip.queries, grip.keys);
  }

  return () => hasMoved;
}
