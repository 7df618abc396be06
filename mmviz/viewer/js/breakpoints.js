// How large the viewer is, and what follows from it.

const [NARROW, MIDDLING] = [640, 1140]; // CSS pixels: below these, one column, and two
const WIDTH_OF_SCALE_1 = 1400; // CSS pixels; in a wider viewer, text and pictures grow with it
const MAX_SCALE = 1.6;
const WIDE = 1.25; // width of a wide picture, relative to its height

/** Marks the viewer as narrow or middling. Returns `isNarrow`, and the `scale` of text and pictures, from 1 to 1.6. */
export function fitToWidth(root) {
  const { width } = root.getBoundingClientRect();
  const scale = Math.min(MAX_SCALE, Math.max(1, width / WIDTH_OF_SCALE_1));
  root.classList.toggle("narrow", width < NARROW);
  root.classList.toggle("middling", width >= NARROW && width < MIDDLING);
  root.style.setProperty("--scale", scale);
  return { isNarrow: width < NARROW, scale };
}

/** Whether the picture is wide, and so leaves room below it; also where there is none. */
export function hasWideImage({ image }) {
  return !image || image.width > WIDE * image.height;
}
