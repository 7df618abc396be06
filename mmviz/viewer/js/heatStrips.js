// Vectors and matrices as colours and bars. Pointing or the arrow keys read their numbers one at a time.
import { colourIndex, DIFFERENCES, MODALITY_COLOURS } from "./colours.js";
import { fitCanvas, make, setText, snapped } from "./dom.js";
import { formatNumber } from "./numberFormat.js";

const LEFT_MARGIN = 46; // CSS pixels left of the key axis
const STRIPE = 5; // height of the stripe of modality colours
const NAMES = 15; // height of the names of the modalities
const PAGE = 10; // numbers that PageUp and PageDown move

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

/**
 * A canvas whose numbers are read one at a time, under the pointer or with the arrow keys; `output` shows the number.
 * Subclasses set `count`, `describe(index)`, `indexAt(x, y)` and, where a number can be chosen, `choose(index)`.
 */
class ReadableCanvas {
  constructor(viewer, output, label) {
    Object.assign(this, { viewer, output, at: 0, count: 0 });
    this.canvas = make("canvas", { "aria-hidden": "true" });
    this.stage = make(
      "div",
      {
        class: "stage",
        role: "slider",
        tabindex: "0",
        "data-roving": "true",
        "aria-label": label,
        "aria-valuemin": "1",
      },
      this.canvas,
    );
    this.stage.addEventListener("pointermove", (event) => this.point(event));
    this.stage.addEventListener("pointerleave", () => viewer.tooltip.hide());
    this.stage.addEventListener("click", (event) => this.choose?.(this.indexUnder(event)));
    this.stage.addEventListener("keydown", (event) => this.press(event));
    this.stage.addEventListener("focus", () => this.stage.matches(":focus-visible") && this.read());
  }

  indexUnder(event) {
    const box = this.stage.getBoundingClientRect();
    const index = this.indexAt(event.clientX - box.left, event.clientY - box.top);
    return Math.min(this.count - 1, Math.max(0, Math.floor(index)));
  }

  point(event) {
    const text = this.describe(this.indexUnder(event));
    setText(this.output, text);
    if (event.pointerType !== "touch") this.viewer.tooltip.show(text, event);
  }

  press(event) {
    const by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: PAGE, PageDown: -PAGE }[event.key];
    if (by) this.at += by;
    else if (event.key === "Home") this.at = 0;
    else if (event.key === "End") this.at = this.count - 1;
    else return;
    this.at = Math.min(this.count - 1, Math.max(0, this.at));
    event.preventDefault();
    event.stopPropagation();
    this.choose?.(this.at);
    this.read();
  }

  /** Shows the number that the arrow keys have reached. */
  read() {
    this.updateAria();
    setText(this.output, this.describe(this.at));
  }

  /** Tells assistive technology the position and the number there. */
  updateAria() {
    this.at = Math.min(this.at, this.count - 1);
    this.stage.setAttribute("aria-valuemax", this.count);
    this.stage.setAttribute("aria-valuenow", this.at + 1);
    this.stage.setAttribute("aria-valuetext", this.describe(this.at));
  }

  /** Draws an outline that stands out on light and on dark: a line over a thicker one of the background's colour. */
  outline(context, x, y, width, height, backgroundWidth = 4) {
    const { background, text } = this.viewer.colours;
    for (const [colour, lineWidth] of [[background, backgroundWidth], [text, 1.5]]) {
      context.strokeStyle = colour;
      context.lineWidth = lineWidth;
      context.strokeRect(x, y, width, height);
    } // prettier-ignore
  }

  /** Gives the canvas its size in CSS pixels. Returns its cleared 2D context. */
  fit(width, height) {
    [this.width, this.height] = [width, height];
    this.stage.style.height = `${height}px`;
    const context = fitCanvas(this.canvas, width, height);
    context.clearRect(0, 0, width, height);
    return context;
  }
}

/** A vector as a row of colours. */
export class HeatStrip extends ReadableCanvas {
  constructor(viewer, output, name) {
    super(viewer, output, name);
    this.name = make("span", { class: "name", text: name });
    this.element = make("div", { class: "strip" }, this.name, this.stage);
  }

  /** `most` is where the colour scale ends; `label` names the numbers, or is a function that describes each. */
  paint(values, most, label) {
    this.count = values.length;
    this.describe = typeof label === "function" ? label : (k) => `${label} ${k + 1}: ${formatNumber(values[k])}`;
    this.indexAt = (x) => (x / this.width) * this.count;
    this.updateAria();
    const context = this.fit(this.stage.clientWidth || 1, 16);
    drawVector(context, values, most, 0, 0, this.width, 16);
  }
}

/** A linear layer: its input above, the weight matrix below it, its output to the right. */
export class LinearMapFigure extends ReadableCanvas {
  constructor(viewer, output, label, matrixHeight) {
    super(viewer, output, label);
    this.matrixHeight = matrixHeight;
    this.range = make("span", { class: "note" });
    this.element = make("figure", {}, make("figcaption", { text: label }), this.stage, this.range);
  }

  /**
   * Draws `output` [row] = `matrix` [1, row, column] @ `input` [column] + `bias` [row]. `id` tells one matrix from the
   * next; `names` are those of the input and the output; `range(largest)` is the legend for the largest magnitudes of
   * input, matrix and output; `highlighted` [first, last) are numbers of the input to outline.
   */
  paint({ id, input, matrix, bias, output, names, range, highlighted = null }) {
    const [rows, top, outputWidth] = [output.length, 18, 18];
    this.count = rows + input.length;
    this.describe = (k) => {
      if (k >= rows) return `${names[0]} ${k - rows + 1}: ${formatNumber(input[k - rows])}`;
      const offset = bias ? bias[k] : 0;
      const sum = `${formatNumber(output[k] - offset)} + ${formatNumber(offset)}`;
      return `${names[1]} ${k + 1}: ${formatNumber(output[k])} = ${sum}`;
    };
    const context = this.fit(this.stage.clientWidth || 1, top + this.matrixHeight);
    const width = this.width - outputWidth;
    this.indexAt = (x, y) => (y < top ? rows + (x / width) * input.length : ((y - top) / this.matrixHeight) * rows);
    this.updateAria();
    const largest = [input, matrix, output].map((values) => largestMagnitude(values));
    drawVector(context, input, largest[0], 0, 0, width, top - 6);
    if (this.id !== id) [this.id, this.image] = [id, drawMatrix(matrix, rows, input.length, largest[1])];
    context.imageSmoothingEnabled = false;
    context.drawImage(this.image, 0, top, width, this.matrixHeight);
    output.forEach((value, row) => {
      const [from, to] = [row, row + 1].map((at) => snapped(top + (at / rows) * this.matrixHeight));
      context.fillStyle = DIFFERENCES.css[colourIndex(value, largest[2], true)];
      context.fillRect(width + 6, from, outputWidth - 6, to - from);
    });
    if (highlighted) {
      const [from, to] = highlighted.map((at) => (at / input.length) * width);
      this.outline(context, from + 2, 2, to - from - 4, top + this.matrixHeight - 4);
    }
    setText(this.range, range(largest.map((value) => formatNumber(value, 2))));
  }
}

/** A figure along the key axis, with the keys ordered by modality: the key vectors, or a bar for each key. */
export class KeyFigure extends ReadableCanvas {
  constructor(viewer, output, label) {
    super(viewer, output, label);
    this.element = this.stage;
  }

  /**
   * Lays out the key axis: `order` of the keys, their `modalities` [key], the `chosen` key, `describe(key)`, and
   * `choose(key)` for a click. Returns the context, the width of a `cell`, `left(position)`, and `stripes(y, isNamed)`,
   * which draws the modalities.
   */
  layOutKeys({ order, modalities, chosen, describe, choose }, height) {
    this.count = order.length;
    this.at = order.indexOf(chosen);
    this.describe = (k) => describe(order[k]);
    this.choose = (k) => choose(order[k]);
    this.indexAt = (x) => ((x - LEFT_MARGIN) / (this.width - LEFT_MARGIN)) * this.count;
    this.updateAria();
    const context = this.fit(this.stage.clientWidth || 1, height);
    const cell = (this.width - LEFT_MARGIN) / this.count;
    const left = (k) => LEFT_MARGIN + k * cell;
    const stripes = (y, isNamed) => {
      for (let k = 0; k < order.length;) {
        const modality = modalities[order[k]];
        let end = k;
        while (end < order.length && modalities[order[end]] === modality) end += 1;
        context.fillStyle = MODALITY_COLOURS[modality];
        context.fillRect(left(k), y, Math.max(1, left(end) - left(k) - (end < order.length ? 1 : 0)), STRIPE);
        const name = this.viewer.say("modality-" + modality);
        this.setFont(context, "left");
        if (isNamed && context.measureText(name).width < left(end) - left(k)) context.fillText(name, left(k), y - 7);
        k = end;
      }
    };
    return { context, cell, left, stripes };
  }

  setFont(context, align) {
    context.fillStyle = this.viewer.colours.muted;
    context.font = `11px ${this.viewer.colours.font}`;
    context.textBaseline = "middle";
    context.textAlign = align;
  }

  outlineChosen(context, left, cell, top, bottom) {
    this.outline(context, left(this.at) - 2, top, Math.max(cell, 2) + 4, bottom - top, 3);
  }

  /**
   * Draws the key vectors, `keys` [key, number] flattened, as columns, and the query vector as a column at the left.
   * `id` tells one set of keys from the next; `most` is where the colour scale ends.
   */
  paintKeys(keyAxis, id, query, keys, most) {
    const size = query.length;
    const height = Math.min(144, Math.max(64, 2 * size));
    const top = NAMES + STRIPE + 3;
    const { context, cell, left, stripes } = this.layOutKeys(keyAxis, top + height + 3);
    stripes(NAMES, true);
    if (this.id !== id) {
      this.id = id;
      const transposed = new Float32Array(keys.length);
      const count = keyAxis.order.length;
      keyAxis.order.forEach((key, k) => {
        for (let row = 0; row < size; row++) transposed[row * count + k] = keys[key * size + row];
      });
      this.image = drawMatrix(transposed, size, count, most);
    }
    context.imageSmoothingEnabled = false;
    context.drawImage(this.image, LEFT_MARGIN, top, this.width - LEFT_MARGIN, height);
    query.forEach((value, row) => {
      const [from, to] = [row, row + 1].map((at) => snapped(top + (at / size) * height));
      context.fillStyle = DIFFERENCES.css[colourIndex(value, most, true)];
      context.fillRect(LEFT_MARGIN - 26, from, 16, to - from);
    });
    this.setFont(context, "center");
    context.fillText("q", LEFT_MARGIN - 18, NAMES);
    this.setFont(context, "right");
    context.fillText("×", LEFT_MARGIN - 1, top + height / 2);
    this.outlineChosen(context, left, cell, top - 1, top + height + 1);
  }

  /** Draws a bar for every key: `values` [key], with a thin line at `before` [key], and keys that are masked in grey. */
  paintBars(keyAxis, values, { before = null, isMasked = () => false, height = 64 }) {
    const { context, cell, left, stripes } = this.layOutKeys(keyAxis, height);
    const finite = [...values, ...(before ?? [])].filter(Number.isFinite);
    const [low, high] = [Math.min(0, ...finite), Math.max(0, ...finite)];
    const [top, bottom] = [6, height - STRIPE - 4];
    const y = (value) => bottom - ((value - low) / (high - low || 1)) * (bottom - top);
    const { colours } = this.viewer;
    keyAxis.order.forEach((key, k) => {
      if (isMasked(key)) {
        context.fillStyle = colours.muted;
        context.globalAlpha = 0.25;
        context.fillRect(left(k), top, cell, bottom - top);
        context.globalAlpha = 1;
      } else {
        const [from, to] = [y(Math.max(0, values[key])), y(Math.min(0, values[key]))];
        context.fillStyle = colours.accent;
        context.fillRect(left(k), from, Math.max(0.6, cell - (cell > 3 ? 1 : 0)), Math.max(0.6, to - from));
      }
    });
    context.strokeStyle = colours.text;
    context.lineWidth = 1;
    if (before) {
      context.beginPath();
      keyAxis.order.forEach((key, k) => {
        context.moveTo(left(k), y(before[key]));
        context.lineTo(left(k + 1), y(before[key]));
      });
      context.stroke();
    }
    context.fillStyle = colours.muted;
    context.fillRect(LEFT_MARGIN, y(0), this.width - LEFT_MARGIN, 0.5);
    stripes(height - STRIPE, false);
    this.setFont(context, "right");
    context.fillText(formatNumber(high, 2), LEFT_MARGIN - 5, high ? top + 3 : y(0));
    if (low < 0) context.fillText(formatNumber(low, 2), LEFT_MARGIN - 5, bottom - 2);
    this.outlineChosen(context, left, cell, top - 3, bottom + 2);
  }
}

/** Draws a vector as colours side by side. */
function drawVector(context, values, most, x, y, width, height) {
  values.forEach((value, k) => {
    const [from, to] = [k, k + 1].map((at) => snapped(x + (at / values.length) * width));
    context.fillStyle = DIFFERENCES.css[colourIndex(value, most, true)];
    context.fillRect(from, y, to - from, height);
  });
}

/** Returns a canvas of a matrix, one pixel for each number. */
function drawMatrix(values, rows, columns, most) {
  const image = new ImageData(columns, rows);
  const pixels = new Uint32Array(image.data.buffer);
  values.forEach((value, at) => (pixels[at] = DIFFERENCES.packed[colourIndex(value, most, true)]));
  const canvas = make("canvas", { width: columns, height: rows });
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}
