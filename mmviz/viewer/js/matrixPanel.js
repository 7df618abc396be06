// The matrix of a map token by token, with stripes of the modalities; zoomed in, the cells show their weights.
import { largestOfMap, weight } from "./attentionRows.js";
import { fitCanvas, make, makeButton, setText } from "./dom.js";
import { drawMaxima, drawMeans, drawNames, drawNumbers, drawStripes, layOutEdges, STRIPE_WIDTH } from "./matrixDrawing.js";
import { listenToCells, MIN_CELLS } from "./matrixPointer.js";
import { threeDigits, twoDigits } from "./numberFormat.js";
import { windowName } from "./pooledMap.js";
import { nameOfUnit, unitOf } from "./mapUnits.js";

const MAX_HEIGHT = 460;
const MAX_CELL = 40;
const [NUMBER_WIDTH, NUMBER_HEIGHT] = [42, 17]; // cells at least this large show their weight
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
    this.stage.classList.remove("zoomed");
    this.redraw();
  }

  redraw() {
    this.drawnState = null;
    this.viewer.repaint();
  }

  resize() {
    this.width = this.element.clientWidth;
    const { scale } = this.viewer;
    this.edges = layOutEdges(scale);
    const { edge } = this.edges;
    const cells = (this.attnMap?.queries ?? MAX_HEIGHT) * MAX_CELL;
    this.height = edge + Math.min(scale * MAX_HEIGHT, scale * cells, this.width - edge);
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
    this.stage.classList.toggle("zoomed", !isAll);
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

  /** Where the cells lie: the window, its edges, and the `cellWidth` and `cellHeight`, in CSS pixels. */
  get grid() {
    const shown = this.currentWindow;
    const { edge } = this.edges;
    return {
      ...shown,
      ...this.edges,
      left: edge,
      top: edge,
      right: this.width,
      bottom: this.height,
      cellWidth: (this.width - edge) / shown.keys,
      cellHeight: (this.height - edge) / shown.queries,
    };
  }

  draw() {
    const { context, attnMap, grid } = this;
    const { header, say, colours, fetcher } = this.viewer;
    const name = attnMap.isPooled && this.window ? windowName(this.window) : null;
    const hasArrived = name !== null && attnMap.window?.name === name;
    if (name !== null && !hasArrived) fetcher.request([`window/${attnMap.mapRef}/${name}`]);
    const most = hasArrived ? attnMap.window.most : largestOfMap(attnMap);
    const { columns, rows } = this.pixelSize(grid);
    context.clearRect(0, 0, this.width, this.height);
    context.imageSmoothingEnabled = false;
    const pixels = (attnMap.isPooled ? drawMeans : drawMaxima)(attnMap, most, grid, columns, rows);
    context.drawImage(pixels, grid.left, grid.top, this.width - grid.left, this.height - grid.top);
    drawStripes(context, header, attnMap, grid, colours);
    drawNames(context, header, say, attnMap, grid, colours);
    if (grid.cellWidth >= NUMBER_WIDTH && grid.cellHeight >= NUMBER_HEIGHT) drawNumbers(context, attnMap, grid, most);
    setText(this.title, say("matrix-of", { method: this.viewer.describeMap(attnMap.mapRef) }));
    if (this.pointedCell) this.describe(this.pointedCell); // weights that have arrived are exact
    const isReduced = grid.keys > columns || grid.queries > rows;
    const means = this.viewer.header.source === "kept" ? "matrix-means" : "matrix-means-only";
    const remark = attnMap.isPooled ? means : isReduced ? "matrix-pooled" : null;
    const note = say("matrix-note", { unit: nameOfUnit(say, attnMap.mapRef), largest: twoDigits(most) });
    setText(this.note, [note, say("matrix-zoom"), ...(remark ? [say(remark)] : [])].join(" "));
  }

  /** Returns how many `columns` and `rows` of pixels the cells are drawn in: one for each cell, as far as the screen has them. */
  pixelSize({ queries, keys }) {
    const ratio = window.devicePixelRatio || 1;
    return {
      columns: Math.min(keys, Math.max(1, Math.floor((this.width - this.edges.edge) * ratio))),
      rows: Math.min(queries, Math.max(1, Math.floor((this.height - this.edges.edge) * ratio))),
    };
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
        context.fillRect(grid.label - 3, y, 5 + STRIPE_WIDTH, Math.max(2, grid.cellHeight));
        context.fillRect(grid.left, y - 1, this.width, 1);
        context.fillRect(grid.left, y + grid.cellHeight, this.width, 1);
      } else if (!isFrom && token >= grid.k && token < grid.k + grid.keys) {
        const x = grid.left + (token - grid.k) * grid.cellWidth;
        context.fillRect(x, grid.label - 3, Math.max(2, grid.cellWidth), 5 + STRIPE_WIDTH);
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
    if (amount !== null) return setText(this.cellText, say("weight-" + unitOf(this.attnMap.mapRef), { from, to, amount: threeDigits(amount) }));
    const { queries, keys, amount: mean } = this.attnMap.meanAround(cell.q, cell.k);
    setText(this.cellText, say("weight-mean", { from, to, queries, keys, amount: twoDigits(mean) }));
  }
}
