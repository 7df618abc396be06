// A vector as a row of colours, and a linear layer between two vectors.
import { colourIndex, DIFFERENCES } from "./colours.js";
import { make, setText, snapped } from "./dom.js";
import { formatNumber } from "./numberFormat.js";
import { ReadableCanvas } from "./readableCanvas.js";
import { drawMatrix, drawVector, largestMagnitude } from "./vectorColours.js";

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
