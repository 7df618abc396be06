// What is drawn in the matrix of a map: cells, stripes of the modalities, names and numbers.
import { weight } from "./attentionRows.js";
import { AMOUNTS, colourIndex, MODALITY_COLOURS } from "./colours.js";
import { make } from "./dom.js";
import { threeDigits } from "./numberFormat.js";

export const STRIPE_WIDTH = 8; // CSS pixels of the stripe of modality colours
const LABEL_WIDTH = 84; // CSS pixels left and above for names, and the size of their letters, at scale 1
const NAME_FONT = 13;
const MAX_LABEL = 12; // characters of a name

/** Returns the room left and above for names, and with the stripe, the `edge` where the cells begin; in CSS pixels. */
export function layOutEdges(scale) {
  const label = Math.round(scale * LABEL_WIDTH);
  return { label, edge: label + STRIPE_WIDTH, font: scale * NAME_FONT };
}

/** Returns a canvas of the window in which each pixel shows the largest of its cells. */
export function drawMaxima(attnMap, most, { q, k, queries, keys }, columns, rows) {
  const { codes, values, keys: rowLength } = attnMap;
  const largest = new Uint16Array(columns * rows); // a larger weight has a larger code
  for (let row = 0; row < queries; row++) {
    const to = Math.floor((row * rows) / queries) * columns;
    const from = (q + row) * rowLength + k;
    for (let column = 0; column < keys; column++) {
      const at = to + Math.floor((column * columns) / keys);
      const code = codes[from + column];
      if (code > largest[at]) largest[at] = code;
    }
  }
  return canvasOf(columns, rows, (at) => values[largest[at]], most);
}

/** Returns a canvas of the window of a pooled map, in which each pixel shows the mean weight of its bin. */
export function drawMeans(attnMap, most, { q, k, queries, keys }, columns, rows) {
  const meanAt = (at) => {
    const query = q + Math.floor((Math.floor(at / columns) * queries) / rows);
    const key = k + Math.floor(((at % columns) * keys) / columns);
    return attnMap.meanAround(query, key).amount;
  };
  return canvasOf(columns, rows, meanAt, most);
}

/** Draws the modality of every query and key along the edges, and lines between modalities. */
export function drawStripes(context, header, attnMap, grid, colours) {
  const sides = [
    [header.streams[attnMap.queryStream].modality, grid.q, grid.queries, true],
    [header.streams[attnMap.keyStream].modality, grid.k, grid.keys, false],
  ];
  for (const [modalities, first, count, isVertical] of sides) {
    for (let at = first; at < first + count; at++) {
      const size = isVertical ? grid.cellHeight : grid.cellWidth;
      const start = (isVertical ? grid.top : grid.left) + (at - first) * size;
      context.fillStyle = MODALITY_COLOURS[modalities[at]];
      if (isVertical) context.fillRect(grid.label, start, STRIPE_WIDTH - 2, size + 0.5);
      else context.fillRect(start, grid.label, size + 0.5, STRIPE_WIDTH - 2);
      if (at === first || modalities[at] === modalities[at - 1]) continue;
      context.fillStyle = colours.background;
      if (isVertical) context.fillRect(grid.left, start - 0.5, grid.right - grid.left, 1);
      else context.fillRect(start - 0.5, grid.top, 1, grid.bottom - grid.top);
    }
  }
}

/** Writes the names of the tokens; where cells are too small for them, the names of the modalities. */
export function drawNames(context, header, say, attnMap, grid, colours) {
  context.fillStyle = colours.text;
  context.font = `${grid.font}px ${colours.font}`;
  context.textBaseline = "middle";
  context.textAlign = "right";
  for (const isVertical of [true, false]) {
    const stream = header.streams[isVertical ? attnMap.queryStream : attnMap.keyStream];
    const [first, count, size] = isVertical
      ? [grid.q, grid.queries, grid.cellHeight]
      : [grid.k, grid.keys, grid.cellWidth];
    const labels =
      size >= grid.font ? tokenLabels(stream, first, count) : modalityLabels(stream, first, count, size, say, grid.font);
    for (const { middle, text } of labels) {
      context.save();
      if (isVertical) context.translate(grid.label - 4, grid.top + middle * size);
      else {
        context.translate(grid.left + middle * size, grid.label - 4);
        context.rotate(Math.PI / 2);
      }
      context.fillText(text.length > MAX_LABEL ? text.slice(0, MAX_LABEL - 1) + "…" : text, 0, 0);
      context.restore();
    }
  }
}

/** Writes the weight of every cell into it. */
export function drawNumbers(context, attnMap, grid, most) {
  context.textAlign = "center";
  for (let q = 0; q < grid.queries; q++) {
    for (let k = 0; k < grid.keys; k++) {
      const amount = weight(attnMap, grid.q + q, grid.k + k);
      if (amount === null) continue;
      context.fillStyle = AMOUNTS.ink[colourIndex(amount, most, false)];
      const [x, y] = [grid.left + (k + 0.5) * grid.cellWidth, grid.top + (q + 0.5) * grid.cellHeight];
      context.fillText(threeDigits(amount), x, y);
    }
  }
}

/** Returns a canvas of pixels coloured by `amountAt(index)` on a scale from 0 to `most`. */
function canvasOf(columns, rows, amountAt, most) {
  const image = new ImageData(columns, rows);
  const pixels = new Uint32Array(image.data.buffer);
  for (let at = 0; at < pixels.length; at++) pixels[at] = AMOUNTS.packed[colourIndex(amountAt(at), most, false)];
  const canvas = make("canvas", { width: columns, height: rows });
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

function tokenLabels(stream, first, count) {
  return Array.from({ length: count }, (_, at) => ({ middle: at + 0.5, text: stream.name[first + at] }));
}

/** Returns a label in the middle of each run of one modality that is tall enough for it. */
function modalityLabels(stream, first, count, size, say, font) {
  const labels = [];
  for (let at = first; at < first + count;) {
    let end = at;
    while (end < first + count && stream.modality[end] === stream.modality[at]) end++;
    if ((end - at) * size >= font) {
      labels.push({ middle: (at + end) / 2 - first, text: say("modality-" + stream.modality[at]) });
    }
    at = end;
  }
  return labels;
}
