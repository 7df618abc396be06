// The matrix of a map token by token, with stripes of the modalities; zoomed in, the cells show their weights.
import { largestOfMap, weight } from "./attentionRows.js";
import { AMOUNTS, colourIndex, MODALITY_COLOURS } from "./colours.js";
import { fitCanvas, make, makeButton, setText } from "./dom.js";
import { listenToCells, MIN_CELLS } from "./matrixPointer.js";
import { threeDigits, twoDigits } from "./numberFormat.js";
import { windowName } from "./pooledMap.js";

const STRIPE_WIDTH = 8; // CSS pixels of the stripe of modality colours
const LABEL_WIDTH = 84; // CSS pixels left and above for names
const EDGE = LABEL_WIDTH + STRIPE_WIDTH;
const MAX_HEIGHT = 460;
const MAX_CELL = 40;
const [NUMBER_WIDTH, NUMBER_HEIGHT] = [38, 15]; // cells at least this large show their weight
const MAX_LABEL = 14; // characters of a name
const MAX_MARKED = 12; // rows or columns that are marked

/** The panel `matrix`. Rows are queries, columns are keys. */
export class MatrixPanel {
  constructor(viewer) {
    this.viewer = viewer;
    this.canvas = make("canvas", { "aria-hidden": "true" });
    this.overlay = make("canvas", { "aria-hidden": "true", class: "overlay" });
    this.stage = make("div", { class: "stage", tabindex: "0", role: "group" }, this.canvas, this.overlay);
    this.element = make("section", { class: "panel", "data-panel": "matrix", "aria-label": viewer.say("matrix") });
    this.note = make("p", { class: "note" });
    this.title = make("h3");
    this.cellText = make("output", { "data-part": "cell" });
    listenToCells(this);
  }

  build() {
    const { say } = this.viewer;
    const button = (code, act) => makeButton(say, code, act);
    const zoom = make(
      "div",
      { class: "switch", role: "group", "aria-label": say("zoom") },
      button("zoom-in", () => this.zoom(0.5)),
      button("zoom-out", () => this.zoom(2)),
      button("zoom-all", () => this.showAll()),
    );
    this.stage.setAttribute("aria-label", say("matrix-keys"));
    const heading = make("div", { class: "line" }, this.title, zoom);
    this.element.replaceChildren(heading, this.stage, this.cellText, this.note);
    this.window = null; // {q, k, queries, keys} that are shown; null for all
    this.drawnState = null;
  }

  showAll() {
    this.window = null;
    this.redraw();
  }

  redraw() {
    this.drawnState = null;
    this.viewer.repaint();
  }

  resize() {
    this.width = this.element.clientWidth;
    const cells = (this.attnMap?.queries ?? MAX_HEIGHT) * MAX_CELL;
    this.height = EDGE + Math.min(MAX_HEIGHT, cells, this.width - EDGE);
    for (const canvas of [this.canvas, this.overlay]) fitCanvas(canvas, this.width, this.height);
    this.stage.style.height = `${this.height}px`;
    this.context = this.canvas.getContext("2d");
    this.drawnState = null;
  }

  /** Zooms around a cell, by default the middle: with a `factor` of 0.5, half as many cells are shown along a side. */
  zoom(factor, centre = null) {
    const { attnMap } = this;
    if (!attnMap) return;
    const { q, k, queries, keys } = this.currentWindow;
    const at = centre ?? { q: q + queries / 2, k: k + keys / 2 };
    const size = (count, total) =>
      Math.min(total, Math.max(Math.min(MIN_CELLS, total), Math.round(count * factor)));
    const [newQueries, newKeys] = [size(queries, attnMap.queries), size(keys, attnMap.keys)];
    const [down, across] = [(at.q - q) / queries, (at.k - k) / keys]; // position of the cell in the window, 0 to 1
    this.showWindow(at.q - down * newQueries, at.k - across * newKeys, newQueries, newKeys);
  }

  /** Shows a window of the matrix, moved inside where it lies beyond an edge. */
  showWindow(q, k, queries, keys) {
    const { attnMap } = this;
    const first = (index, count, total) => Math.round(Math.min(total - count, Math.max(0, index)));
    const isAll = queries === attnMap.queries && keys === attnMap.keys;
    this.window = isAll
      ? null
      : { q: first(q, queries, attnMap.queries), k: first(k, keys, attnMap.keys), queries, keys };
    this.redraw();
  }

  paint(frame) {
    const { attnMap } = frame;
    if (!attnMap || !this.context) return;
    if (this.attnMap?.queries !== attnMap.queries || this.attnMap?.keys !== attnMap.keys) {
      [this.attnMap, this.window] = [attnMap, null];
      this.resize();
    }
    const { header, colours } = this.viewer;
    const state = [header.run, attnMap.mapRef, attnMap.checkpoint, attnMap.window?.name, JSON.stringify(this.window)].join("|");
    if (this.drawnState !== state || this.drawnColours !== colours) {
      [this.attnMap, this.drawnState, this.drawnColours] = [attnMap, state, colours];
      this.draw();
    }
    this.drawOverlay(frame);
  }

  /** The window that is shown, all cells where it is null. */
  get currentWindow() {
    return this.window ?? { q: 0, k: 0, queries: this.attnMap.queries, keys: this.attnMap.keys };
  }

  /** Where the cells lie: the window, its `left` and `top`, and the `cellWidth` and `cellHeight`, in CSS pixels. */
  get grid() {
    const shown = this.currentWindow;
    return {
      ...shown,
      left: EDGE,
      top: EDGE,
      cellWidth: (this.width - EDGE) / shown.keys,
      cellHeight: (this.height - EDGE) / shown.queries,
    };
  }

  draw() {
    const { context, attnMap, grid } = this;
    const { say, colours, fetcher } = this.viewer;
    const name = attnMap.isPooled && this.window ? windowName(this.window) : null;
    const hasArrived = name !== null && attnMap.window?.name === name;
    if (name !== null && !hasArrived) fetcher.request([`window/${attnMap.mapRef}/${name}`]);
    const most = hasArrived ? attnMap.window.most : largestOfMap(attnMap);
    const { columns, rows } = this.pixelSize(grid);
    context.clearRect(0, 0, this.width, this.height);
    context.imageSmoothingEnabled = false;
    const draw = attnMap.isPooled ? this.drawMeans : this.drawMaxima;
    const pixels = draw.call(this, most, grid, columns, rows);
    context.drawImage(pixels, grid.left, grid.top, this.width - grid.left, this.height - grid.top);
    this.drawStripes(context, grid, colours);
    this.drawNames(context, grid, colours);
    if (grid.cellWidth >= NUMBER_WIDTH && grid.cellHeight >= NUMBER_HEIGHT) this.drawNumbers(context, grid, most);
    setText(this.title, say("matrix-of", { method: this.viewer.describeMap(attnMap.mapRef) }));
    if (this.pointedCell) this.describe(this.pointedCell); // weights that have arrived are exact
    const isReduced = grid.keys > columns || grid.queries > rows;
    const means = this.viewer.header.source === "kept" ? "matrix-means" : "matrix-means-only";
    const remark = attnMap.isPooled ? means : isReduced ? "matrix-pooled" : null;
    setText(this.note, say("matrix-note", { largest: twoDigits(most) }) + (remark ? " " + say(remark) : ""));
  }

  /** Returns how many `columns` and `rows` of pixels the cells are drawn in: one for each cell, as far as the screen has them. */
  pixelSize({ queries, keys }) {
    const ratio = window.devicePixelRatio || 1;
    return {
      columns: Math.min(keys, Math.max(1, Math.floor((this.width - EDGE) * ratio))),
      rows: Math.min(queries, Math.max(1, Math.floor((this.height - EDGE) * ratio))),
    };
  }

  /** Returns a canvas of the window in which each pixel shows the largest of its cells. */
  drawMaxima(most, { q, k, queries, keys }, columns, rows) {
    const { codes, values, keys: rowLength } = this.attnMap;
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
  drawMeans(most, { q, k, queries, keys }, columns, rows) {
    const meanAt = (at) => {
      const query = q + Math.floor((Math.floor(at / columns) * queries) / rows);
      const key = k + Math.floor(((at % columns) * keys) / columns);
      return this.attnMap.meanAround(query, key).amount;
    };
    return canvasOf(columns, rows, meanAt, most);
  }

  /** Draws the modality of every query and key along the edges, and lines between modalities. */
  drawStripes(context, grid, colours) {
    const { header } = this.viewer;
    const sides = [
      [header.streams[this.attnMap.queryStream].modality, grid.q, grid.queries, true],
      [header.streams[this.attnMap.keyStream].modality, grid.k, grid.keys, false],
    ];
    for (const [modalities, first, count, isVertical] of sides) {
      for (let at = first; at < first + count; at++) {
        const size = isVertical ? grid.cellHeight : grid.cellWidth;
        const start = (isVertical ? grid.top : grid.left) + (at - first) * size;
        context.fillStyle = MODALITY_COLOURS[modalities[at]];
        if (isVertical) context.fillRect(LABEL_WIDTH, start, STRIPE_WIDTH - 2, size + 0.5);
        else context.fillRect(start, LABEL_WIDTH, size + 0.5, STRIPE_WIDTH - 2);
        if (at === first || modalities[at] === modalities[at - 1]) continue;
        context.fillStyle = colours.background;
        if (isVertical) context.fillRect(grid.left, start - 0.5, this.width - grid.left, 1);
        else context.fillRect(start - 0.5, grid.top, 1, this.height - grid.top);
      }
    }
  }

  /** Writes the names of the tokens; where cells are too small for them, the names of the modalities. */
  drawNames(context, grid, colours) {
    const { header, say } = this.viewer;
    context.fillStyle = colours.text;
    context.font = `11px ${colours.font}`;
    context.textBaseline = "middle";
    context.textAlign = "right";
    for (const isVertical of [true, false]) {
      const stream = header.streams[isVertical ? this.attnMap.queryStream : this.attnMap.keyStream];
      const [first, count, size] = isVertical
        ? [grid.q, grid.queries, grid.cellHeight]
        : [grid.k, grid.keys, grid.cellWidth];
      const labels =
        size >= 12 ? tokenLabels(stream, first, count) : modalityLabels(stream, first, count, size, say);
      for (const { middle, text } of labels) {
        context.save();
        if (isVertical) context.translate(LABEL_WIDTH - 4, grid.top + middle * size);
        else {
          context.translate(grid.left + middle * size, LABEL_WIDTH - 4);
          context.rotate(Math.PI / 2);
        }
        context.fillText(text.length > MAX_LABEL ? text.slice(0, MAX_LABEL - 1) + "…" : text, 0, 0);
        context.restore();
      }
    }
  }

  drawNumbers(context, grid, most) {
    context.textAlign = "center";
    for (let q = 0; q < grid.queries; q++) {
      for (let k = 0; k < grid.keys; k++) {
        const amount = weight(this.attnMap, grid.q + q, grid.k + k);
        if (amount === null) continue;
        context.fillStyle = AMOUNTS.ink[colourIndex(amount, most, false)];
        const [x, y] = [grid.left + (k + 0.5) * grid.cellWidth, grid.top + (q + 0.5) * grid.cellHeight];
        context.fillText(threeDigits(amount), x, y);
      }
    }
  }

  /** Marks the rows or columns of the chosen tokens, and the box that is being dragged. */
  drawOverlay(frame) {
    const context = this.overlay.getContext("2d");
    const { grid } = this;
    context.clearRect(0, 0, this.width, this.height);
    const isFrom = frame.direction === "from";
    const markToken = (token, colour) => {
      context.fillStyle = colour;
      if (isFrom && token >= grid.q && token < grid.q + grid.queries) {
        const y = grid.top + (token - grid.q) * grid.cellHeight;
        context.fillRect(LABEL_WIDTH - 3, y, 5 + STRIPE_WIDTH, Math.max(2, grid.cellHeight));
        context.fillRect(grid.left, y - 1, this.width, 1);
        context.fillRect(grid.left, y + grid.cellHeight, this.width, 1);
      } else if (!isFrom && token >= grid.k && token < grid.k + grid.keys) {
        const x = grid.left + (token - grid.k) * grid.cellWidth;
        context.fillRect(x, LABEL_WIDTH - 3, Math.max(2, grid.cellWidth), 5 + STRIPE_WIDTH);
        context.fillRect(x - 1, grid.top, 1, this.height);
        context.fillRect(x + grid.cellWidth, grid.top, 1, this.height);
      }
    };
    if (frame.tokens.length < MAX_MARKED) for (const token of frame.tokens) markToken(token, "#fff");
    if (frame.versus.length < MAX_MARKED) for (const token of frame.versus) markToken(token, "#fdb863");
    if (this.box) {
      context.strokeStyle = "#fff";
      context.lineWidth = 1.5;
      const { x0, y0, x1, y1 } = this.box;
      context.strokeRect(Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0), Math.abs(y1 - y0));
    }
    if (!this.pointedCell) setText(this.cellText, this.viewer.say("matrix-point"));
  }

  /** Returns the {q, k} under the pointer; null beside the cells. */
  cellAt(event) {
    if (!this.attnMap) return null;
    const box = this.stage.getBoundingClientRect();
    const { grid } = this;
    const q = Math.floor((event.clientY - box.top - grid.top) / grid.cellHeight);
    const k = Math.floor((event.clientX - box.left - grid.left) / grid.cellWidth);
    return q >= 0 && k >= 0 && q < grid.queries && k < grid.keys ? { q: grid.q + q, k: grid.k + k } : null;
  }

  /** Writes the weight of a cell, or the mean around it where the weight has not arrived. */
  describe(cell) {
    this.pointedCell = cell;
    if (!cell) return;
    const { header, say } = this.viewer;
    const from = header.streams[this.attnMap.queryStream].name[cell.q];
    const to = header.streams[this.attnMap.keyStream].name[cell.k];
    const amount = weight(this.attnMap, cell.q, cell.k);
    if (amount !== null) return setText(this.cellText, say("weight", { from, to, amount: threeDigits(amount) }));
    const { queries, keys, amount: mean } = this.attnMap.meanAround(cell.q, cell.k);
    setText(this.cellText, say("weight-mean", { from, to, queries, keys, amount: twoDigits(mean) }));
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
function modalityLabels(stream, first, count, size, say) {
  const labels = [];
  for (let at = first; at < first + count;) {
    let end = at;
    while (end < first + count && stream.modality[end] === stream.modality[at]) end++;
    if ((end - at) * size >= 12) {
      labels.push({ middle: (at + end) / 2 - first, text: say("modality-" + stream.modality[at]) });
    }
    at = end;
  }
  return labels;
}
