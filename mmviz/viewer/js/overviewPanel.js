// All layers and heads as thumbnails, grouped by stack, with the mean over heads at the edge; one is chosen.
import { AMOUNTS, colourIndex } from "./colours.js";
import { dequantizationTable } from "./quantization.js";
import { twoDigits } from "./numberFormat.js";
import { formatMapRef, isFlow } from "./mapRef.js";
import { describeStreams, mapsByStack, stackName, stacksOf } from "./modelStacks.js";
import { overviewColumns } from "./viewState.js";
import { fitCanvas, make } from "./dom.js";

const ROW_LABEL = 26; // CSS pixels
const COLUMN_LABEL = 17;
const HEADING = 42; // above the layers of a stack, where there are several
const GAP_WIDE = 3;
const GAP_NARROW = 1; // between very small thumbnails
const MEAN_GAP = 6;
const MAX_SIDE = 38;
const SMALL_SIDE = 14;
const MIN_SIDE = 6;

/** The panel `overview`: pointing at a thumbnail shows its map in all panels, a click or the arrow keys choose it. */
export class OverviewPanel {
  constructor(viewer) {
    this.viewer = viewer;
    this.canvas = make("canvas", { "aria-hidden": "true" });
    this.stage = make("div", { class: "stage", role: "group" }, this.canvas);
    this.element = make("section", { class: "panel", "data-panel": "overview", "aria-label": viewer.say("overview") });
    this.note = make("p", { class: "note" });
  }

  build() {
    const { header, data, say } = this.viewer;
    this.stage.setAttribute("aria-label", say("overview"));
    this.maps = header.maps.map((map, index) => {
      const suffixes = header.timeline ? header.timeline.scenes.map((_, checkpoint) => `@${checkpoint}`) : [""];
      const thumbnails = suffixes.map((suffix) => data.section(`thumbnails/${index}${suffix}`));
      return { columns: overviewColumns(header, index), thumbnails };
    });
    this.columnCount = Math.max(...this.maps.map((map) => map.columns.length));
    this.rows = this.layOutRows();
    this.cells = this.rows.flatMap(({ mapIndex }, row) =>
      this.maps[mapIndex].columns.map((head, column) => {
        const mapRef = formatMapRef(header, mapIndex, head);
        const label = this.viewer.describeMap(mapRef);
        const button = make("button", {
          type: "button",
          class: "proxy",
          "data-map": mapRef,
          "aria-label": label,
          title: this.titleOf(mapIndex, label),
        });
        button.addEventListener("pointerenter", () => this.viewer.preview(mapRef));
        button.addEventListener("pointerleave", () => this.viewer.preview(null));
        button.addEventListener("click", () => this.viewer.chooseMap(mapRef));
        return { mapRef, mapIndex, row, column, isMean: head === "mean", button };
      }),
    );
    const headings = this.rows.flatMap(({ heading }) => heading ?? []);
    this.stage.replaceChildren(this.canvas, ...headings, ...this.cells.map(({ button }) => button));
    const heading = make("h3", { text: say("overview"), title: say("overview-help") });
    this.note.textContent = say("overview-note");
    this.element.replaceChildren(heading, this.stage, this.note);
    this.canvases = null;
  }

  /** Returns the rows: the `mapIndex`, its `rank` in the stack, the `heading` above the first of a stack, else null. */
  layOutRows() {
    const { header, say } = this.viewer;
    const hasHeadings = stacksOf(header).length > 1;
    const ranks = new Map(); // rows of each stack so far
    return mapsByStack(header).map((mapIndex) => {
      const { stack } = header.maps[mapIndex];
      const rank = ranks.get(stack) ?? 0;
      ranks.set(stack, rank + 1);
      if (!hasHeadings || rank) return { mapIndex, rank, heading: null };
      const streams = describeStreams(header, say, stack);
      const name = make("span", { text: stackName(header, stack), title: stack });
      const lines = [name, make("span", { text: streams, title: streams })];
      return { mapIndex, rank, heading: make("h4", { class: "stack-name" }, ...lines) };
    });
  }

  /** Returns the title of a thumbnail, with the streams of a map between two of them. */
  titleOf(mapIndex, label) {
    const { queries, keys, name } = this.viewer.header.maps[mapIndex];
    return queries === keys ? `${label} (${name})` : `${label} (${name}: ${queries} → ${keys})`;
  }

  resize() {
    const { scale } = this.viewer;
    const [rowLabel, columnLabel] = [ROW_LABEL * scale, COLUMN_LABEL * scale];
    // the last column's label is wider than the column
    const room = this.element.clientWidth - rowLabel - MEAN_GAP - rowLabel / 2;
    const widest = MAX_SIDE * scale + GAP_WIDE;
    const pitch = Math.floor(Math.max(MIN_SIDE + GAP_NARROW, Math.min(widest, room / this.columnCount)));
    this.gap = pitch < SMALL_SIDE + GAP_WIDE ? GAP_NARROW : GAP_WIDE;
    this.side = pitch - this.gap;
    this.rowLabel = rowLabel;
    this.width = rowLabel + this.columnCount * pitch + MEAN_GAP + rowLabel / 2;
    this.height = columnLabel;
    for (const row of this.rows) {
      if (row.heading) {
        row.heading.style.cssText = `top:${this.height}px;width:${this.element.clientWidth}px`;
        this.height += HEADING * scale;
      }
      row.y = this.height;
      this.height += pitch;
    }
    this.stage.style.width = `${this.width}px`;
    this.stage.style.height = `${this.height}px`;
    for (const cell of this.cells) {
      // the means stand in one column at the edge
      const column = cell.isMean ? this.columnCount - 1 : cell.column;
      cell.x = rowLabel + column * pitch + (cell.isMean ? MEAN_GAP : 0);
      cell.y = this.rows[cell.row].y;
      cell.button.style.cssText = `left:${cell.x}px;top:${cell.y}px;width:${this.side}px;height:${this.side}px`;
    }
    this.context = fitCanvas(this.canvas, this.width, this.height);
    this.drawnState = null;
  }

  paint(frame) {
    if (!this.context) return;
    const { colours, attnMaps, view } = this.viewer;
    const { checkpoint } = attnMaps;
    const state = `${frame.mapRef}|${view.map}|${checkpoint}`;
    if (this.drawnState === state && this.drawnColours === colours) return;
    [this.drawnState, this.drawnColours] = [state, colours];
    const { context, side } = this;
    if (this.drawnCheckpoint !== checkpoint) this.canvases = null;
    this.drawnCheckpoint = checkpoint;
    this.canvases ??= this.cells.map((cell) => this.drawThumbnail(cell, checkpoint ?? 0));
    context.clearRect(0, 0, this.width, this.height);
    context.imageSmoothingEnabled = false;
    this.cells.forEach((cell, k) => context.drawImage(this.canvases[k], cell.x, cell.y, side, side));
    this.drawLabels(context, colours);
    const isFocused = this.stage.contains(this.stage.getRootNode().activeElement);
    for (const cell of this.cells) {
      const isChosen = cell.mapRef === view.map;
      cell.button.setAttribute("aria-pressed", String(isChosen));
      const isTabStop = isChosen || (cell === this.cells[0] && isFlow(view.map));
      cell.button.tabIndex = isTabStop ? 0 : -1;
      if (isChosen && isFocused) cell.button.focus({ preventScroll: true }); // the focus follows the arrow keys
      if (!isChosen && cell.mapRef !== frame.mapRef) continue;
      context.strokeStyle = isChosen ? colours.accent : colours.text;
      context.lineWidth = isChosen ? 2.5 : 1.5;
      context.strokeRect(cell.x - 1.5, cell.y - 1.5, side + 3, side + 3);
    }
  }

  /** Writes as many numbers of layers and heads as fit. */
  drawLabels(context, colours) {
    const { header, say } = this.viewer;
    context.fillStyle = colours.muted;
    context.font = `${13 * this.viewer.scale}px ${colours.font}`;
    context.textBaseline = "middle";
    context.textAlign = "right";
    const { scale } = this.viewer;
    const everyRow = Math.ceil((14 * scale) / (this.side + this.gap));
    for (const cell of this.cells) {
      if (cell.column === 0 && this.rows[cell.row].rank % everyRow === 0)
        context.fillText(header.maps[cell.mapIndex].layer + 1, this.rowLabel - 6, cell.y + this.side / 2);
    }
    context.textAlign = "center";
    const everyColumn = Math.ceil((18 * scale) / (this.side + this.gap));
    const widest = this.maps.findIndex((map) => map.columns.length === this.columnCount);
    for (const cell of this.cells.filter(({ mapIndex }) => mapIndex === widest)) {
      const label = cell.isMean ? say("mean-short") : cell.column + 1;
      if (cell.isMean || cell.column % everyColumn === 0)
        context.fillText(label, cell.x + this.side / 2, COLUMN_LABEL * scale - 9);
    }
  }

  /**
   * Returns a canvas of one thumbnail at one pixel a bin. Its colour scale is its own, the same at all checkpoints:
   * thumbnails compare where attention goes, not how much.
   */
  drawThumbnail({ mapIndex, column, button }, checkpoint) {
    const { thumbnails } = this.maps[mapIndex];
    const [, queries, keys] = thumbnails[checkpoint].shape;
    const parts = thumbnails.map((heads) => ({
      codes: heads.subarray(column * queries * keys, (column + 1) * queries * keys),
      values: dequantizationTable(heads.decade),
    }));
    const most = Math.max(...parts.map(({ codes, values }) => values[Math.max(...codes)])) || 1;
    const { codes, values } = parts[checkpoint];
    const image = new ImageData(keys, queries);
    const pixels = new Uint32Array(image.data.buffer);
    codes.forEach((code, at) => (pixels[at] = AMOUNTS.packed[colourIndex(values[code], most, false)]));
    const canvas = make("canvas", { width: keys, height: queries });
    canvas.getContext("2d").putImageData(image, 0, 0);
    button.dataset.largest = twoDigits(most);
    return canvas;
  }
}
