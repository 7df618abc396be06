// The colours of the page that the viewer stands on.
import { contrast } from "./colours.js";

/** The colours for canvases; `root` is marked as dark where its ground is. */
export function readColours(root) {
  const style = getComputedStyle(root); // live: it follows the mark
  const [text, ground] = [style.color, style.borderTopColor].map((colour) =>
    colour
      .match(/[\d.]+/g)
      .slice(0, 3)
      .map(Number),
  );
  root.classList.toggle("dark", contrast(ground, [0, 0, 0]) < contrast(ground, [255, 255, 255]));
  const read = (name) => style.getPropertyValue(name).trim();
  return {
    text: `rgb(${text})`,
    ground: `rgb(${ground})`,
    muted: read("--muted"),
    accent: read("--accent"),
    font: style.fontFamily,
  };
}
