// All layers and heads as small maps, the mean of the heads at the edge; one is chosen.
import { AMOUNTS, step } from "./colours.js";
import { lut, short } from "./codes.js";
import { columns } from "./select.js";
import { fitCanvas, make } from "./dom.js";

const LABEL = 26; // CSS pixels
const TOP = 15;
const SPACE = 3;
const CLOSE = 1; // between maps that are very small
const MEAN_SPACE = 6;
const WIDEST = 38;
const SMALL = 14;
const NARROWEST = 6;

/** The panel `overview`: pointing at a map shows it everywhere, a click or the arrow keys choose it. */
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
      const moments = header.moments ? header.moments.scenes.map((_, moment) => `@${moment}`) : [""];
      const thumbs = moments.map((moment) => data.section(`thumbs/${index}${moment}`));
      return { columns: columns(header, index), thumbs, label: map.name };
    });
    this.widest = Math.max(...this.maps.map((map) => map.columns.length));
    this.buttons = this.maps.flatMap((map, row) =>
      map.columns.map((head, column) => {
        const id = `${row}:${head}`;
        const words = this.viewer.wayOf(id);
        const button = make("button", {
          type: "button",
          class: "proxy",
          "data-plane": id,
          "aria-label": words,
          title: this.titleOf(row, words),
        });
        button.addEventListener("pointerenter", () => this.viewer.preview(id));
        button.addEventListener("pointerleave", () => this.viewer.preview(null));
        button.addEventListener("click", () => this.viewer.choosePlane(id));
        return { id, row, column, isMean: head === "mean", button };
      }),
    );
    this.stage.replaceChildren(this.canvas, ...this.buttons.map(({ button }) => button));
    const heading = make("h3", { text: say("overview"), title: say("overview-help") });
    this.note.textContent = say("overview-note");
    this.element.replaceChildren(heading, this.stage, this.note);
    this.thumbs = null;
  }

  /** A map between two streams says which. */
  titleOf(row, words) {
    const { queries, keys, name } = this.viewer.header.maps[row];
    return queries === keys ? `${words} (${name})` : `${words} (${name}: ${queries} → ${keys})`;
  }

  resize() {
    const room = this.element.clientWidth - LABEL - MEAN_SPACE - LABEL / 2; // the last name is wider than its column
    const pitch = Math.max(NARROWEST + CLOSE, Math.min(WIDEST + SPACE, Math.floor(room / this.widest)));
    this.space = pitch < SMALL + SPACE ? CLOSE : SPACE;
    this.side = pitch - this.space;
    this.width = LABEL + this.widest * pitch + MEAN_SPACE + LABEL / 2;
    this.height = TOP + this.maps.length * pitch;
    this.stage.style.width = `${this.width}px`;
    this.stage.style.height = `${this.height}px`;
    for (const cell of this.buttons) {
      // the means stand in one column at the edge
      const column = cell.isMean ? this.widest - 1 : cell.column;
      Object.assign(cell, { x: LABEL + column * pitch + (cell.isMean ? MEAN_SPACE : 0), y: TOP + cell.row * pitch });
      cell.button.style.cssText = `left:${cell.x}px;top:${cell.y}px;width:${this.side}px;height:${this.side}px`;
    }
    this.context = fitCanvas(this.canvas, this.width, this.height);
    this.drawn = null;
  }

  paint(frame) {
    if (!this.context) return;
    const colours = this.viewer.colours;
    const { moment } = this.viewer.planes;
    const state = `${frame.id}|${this.viewer.view.plane}|${moment}`;
    if (this.drawn === state && this.drawnOf === colours) return;
    [this.drawn, this.drawnOf] = [state, colours];
    const { context, side } = this;
    if (this.thumbsOf !== moment) this.thumbs = null;
    this.thumbsOf = moment;
    this.thumbs ??= this.buttons.map((cell) => this.thumb(cell, moment ?? 0));
    context.clearRect(0, 0, this.width, this.height);
    context.imageSmoothingEnabled = false;
    this.buttons.forEach((cell, k) => context.drawImage(this.thumbs[k], cell.x, cell.y, side, side));
    this.labels(context, colours);
    const isFocused = this.stage.contains(this.stage.getRootNode().activeElement);
    for (const cell of this.buttons) {
      const isChosen = cell.id === this.viewer.view.plane;
      cell.button.setAttribute("aria-pressed", String(isChosen));
      const isEntry = cell === this.buttons[0] && !this.viewer.view.plane.includes(":");
      cell.button.tabIndex = isChosen || isEntry ? 0 : -1;
      if (isChosen && isFocused) cell.button.focus({ preventScroll: true }); // the arrows take it along
      if (!isChosen && cell.id !== frame.id) continue;
      context.strokeStyle = isChosen ? colours.accent : colours.text;
      context.lineWidth = isChosen ? 2.5 : 1.5;
      context.strokeRect(cell.x - 1.5, cell.y - 1.5, side + 3, side + 3);
    }
  }

  labels(context, colours) {
    const { header } = this.viewer;
    context.fillStyle = colours.muted;
    context.font = `11px ${colours.font}`;
    context.textBaseline = "middle";
    context.textAlign = "right";
    const every = Math.ceil(13 / (this.side + this.space));
    for (const cell of this.buttons) {
      if (cell.column === 0 && cell.row % every === 0)
        context.fillText(header.maps[cell.row].layer + 1, LABEL - 6, cell.y + this.side / 2);
    }
    context.textAlign = "center";
    const across = Math.ceil(16 / (this.side + this.space));
    const row = this.maps.findIndex((map) => map.columns.length === this.widest);
    for (const cell of this.buttons.filter((one) => one.row === row)) {
      const words = cell.isMean ? this.viewer.say("mean-short") : cell.column + 1;
      if (cell.isMean || cell.column % across === 0) context.fillText(words, cell.x + this.side / 2, TOP - 8);
    }
  }

  /** One small map at one pixel a bin, on a scale of its own (the same at all moments): what differs is where, not how
   * much. */
  thumb({ row, column }, moment) {
    const [, queries, keys] = this.maps[row].thumbs[moment].shape;
    const parts = this.maps[row].thumbs.map((thumbs) => ({
      codes: thumbs.subarray(column * queries * keys, (column + 1) * queries * keys),
      values: lut(thumbs.decade),
    }));
    const most = Math.max(...parts.map(({ codes, values }) => values[Math.max(...codes)])) || 1;
    const { codes, values } = parts[moment];
    const image = new ImageData(keys, queries);
    const pixels = new Uint32Array(image.data.buffer);
    codes.forEach((code, at) => (pixels[at] = AMOUNTS.packed[step(values[code], most, false)]));
    const canvas = make("canvas", { width: keys, height: queries });
    canvas.getContext("2d").putImageData(image, 0, 0);
    this.buttons.find((cell) => cell.row === row && cell.column === column).button.dataset.largest = short(most);
    return canvas;
  }
}
