// Vectors and matrices as colours on a signed scale.
import { colourIndex, DIFFERENCES } from "./colours.js";
import { make, setText, snapped } from "./dom.js";
import { formatNumber } from "./numberFormat.js";

/** Returns the largest finite magnitude of some vectors, where a signed colour scale ends; 1 where all are 0. */
export function largestMagnitude(...vectors) {
  let most = 0;
  for (const values of vectors)
    for (const value of values) if (Number.isFinite(value)) most = Math.max(most, Math.abs(value));
  return most || 1;
}

/** The legend of a signed colour scale. */
export class RangeLegend {
  constructor(label) {
    this.low = make("span");
    this.high = make("span");
    const bar = make("i", { class: "bar", style: `background:${DIFFERENCES.gradient}` });
    this.element = make("div", { class: "legend" }, make("span", { text: label }), this.low, bar, this.high);
  }

  paint(most) {
    setText(this.low, "−" + formatNumber(most, 3));
    setText(this.high, "+" + formatNumber(most, 3));
  }
}

/** Draws a vector as colours side by side. */
export function drawVector(context, values, most, x, y, width, height) {
  values.forEach((value, k) => {
    const [from, to] = [k, k + 1].map((at) => snapped(x + (at / values.length) * width));
    context.fillStyle = DIFFERENCES.css[colourIndex(value, most, true)];
    context.fillRect(from, y, to - from, height);
  });
}

/** Returns a canvas of a matrix, one pixel for each number. */
export function drawMatrix(values, rows, columns, most) {
  const image = new ImageData(columns, rows);
  const pixels = new Uint32Array(image.data.buffer);
  values.forEach((value, at) => (pixels[at] = DIFFERENCES.packed[colourIndex(value, most, true)]));
  const canvas = make("canvas", { width: columns, height: rows });
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}
