// A figure along the keys of a map: the key vectors, or a bar for each key.
import { colourIndex, DIFFERENCES, MODALITY_COLOURS } from "./colours.js";
import { snapped } from "./dom.js";
import { formatNumber } from "./numberFormat.js";
import { ReadableCanvas } from "./readableCanvas.js";
import { drawMatrix } from "./vectorColours.js";

const LEFT_MARGIN = 46; // CSS pixels left of the key axis
const STRIPE = 5; // height of the stripe of modality colours
const NAMES = 15; // height of the names of the modalities

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
    context.font = `13px ${this.viewer.colours.font}`;
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
