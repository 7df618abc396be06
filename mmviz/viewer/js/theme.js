// The colours of the page that the viewer stands on.
import { contrast, LIGHT_FLOOR } from "./colours.js";

/** Returns the colours to draw with on canvases. Marks `root` as dark where its background is. */
export function readColours(root) {
  const style = getComputedStyle(root); // live: it follows the class set below
  const [text, background] = [style.color, style.borderTopColor].map((colour) =>
    colour
      .match(/[\d.]+/g)
      .slice(0, 3)
      .map(Number),
  );
  const isDark = contrast(background, [0, 0, 0]) < contrast(background, [255, 255, 255]);
  root.classList.toggle("dark", isDark);
  const read = (name) => style.getPropertyValue(name).trim();
  return {
    text: `rgb(${text})`,
    background: `rgb(${background})`,
    muted: read("--muted"),
    accent: read("--accent"),
    font: style.fontFamily,
    lightFloor: isDark ? LIGHT_FLOOR.dark : LIGHT_FLOOR.light,
  };
}
