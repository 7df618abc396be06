// The matrix token by token, with bands of the modalities: zoom to exact values.
import { lut, short, three } from "./codes.js";
import { AMOUNTS, MODALITY_COLOURS, step } from "./colours.js";
import { largestOfPlane, weight } from "./attentionRows.js";
import { CLOSEST, pointAtCells } from "./cells.js";
import { fitCanvas, make, makeButton, setText } from "./dom.js";
import { windowName } from "./pooledMap.js";

const BAND = 8; // CSS pixels
const LABELS = 84;
const TALLEST = 460;
const TALLEST_CELL = 40;
const [ROOM_ACROSS, ROOM_DOWN] = [38, 15]; // what a number in a cell needs

/** The panel `matrix`. */
export class MatrixPanel {
  constructor(viewer) {
    this.viewer = viewer;
    this.canvas = make("canvas", { "aria-hidden": "true" });
    this.over = make("canvas", { "aria-hidden": "true", class: "over" });
    this.stage = make("div", { class: "stage", tabindex: "0", role: "group" }, this.canvas, this.over);
    this.element = make("section", { class: "panel", "data-panel": "matrix", "aria-label": viewer.say("matrix") });
    this.note = make("p", { class: "note" });
    this.title = make("h3");
    this.exact = make("output", { "data-part": "exact" });
    pointAtCells(this);
  }

  build() {
    const { say } = this.viewer;
    const button = (code, act) => makeButton(say, code, act);
    const zoom = make(
      "div",
      { class: "switch", role: "group", "aria-label": say("zoom") },
      button("zoom-in", () => this.zoom(0.5)),
      button("zoom-out", () => this.zoom(2)),
      button("zoom-all", () => this.all()),
    );
    this.stage.setAttribute("aria-label", say("matrix-keys"));
    this.element.replaceChildren(make("div", { class: "line" }, this.title, zoom), this.stage, this.exact, this.note);
    this.window = null;
    this.drawn = null;
  }

  all() {
    this.window = null;
    this.redraw();
  }

  redraw() {
    this.drawn = null;
    this.viewer.repaint();
  }

  resize() {
    this.width = this.element.clientWidth;
    const cells = (this.plane?.queries ?? TALLEST) * TALLEST_CELL;
    this.height = LABELS + BAND + Math.min(TALLEST, cells, this.width - LABELS - BAND);
    for (const canvas of [this.canvas, this.over]) fitCanvas(canvas, this.width, this.height);
    this.stage.style.height = `${this.height}px`;
    this.context = this.canvas.getContext("2d");
    this.drawn = null;
  }

  /** Zoom by a factor around a cell; 0.5 shows half as many. */
  zoom(factor, at = null) {
    const plane = this.plane;
    if (!plane) return;
    const now = this.window ?? { q: 0, k: 0, queries: plane.queries, keys: plane.keys };
    const centre = at ?? { q: now.q + now.queries / 2, k: now.k + now.keys / 2 };
    const size = (count, all) => Math.min(all, Math.max(Math.min(CLOSEST, all), Math.round(count * factor)));
    const [queries, keys] = [size(now.queries, plane.queries), size(now.keys, plane.keys)];
    const share = { q: (centre.q - now.q) / now.queries, k: (centre.k - now.k) / now.keys };
    this.show(centre.q - share.q * queries, centre.k - share.k * keys, queries, keys);
  }

  show(q, k, queries, keys) {
    const limit = (first, count, all) => Math.round(Math.min(all - count, Math.max(0, first)));
    const { plane } = this;
    this.window = { q: limit(q, queries, plane.queries), k: limit(k, keys, plane.keys), queries, keys };
    if (queries === plane.queries && keys === plane.keys) this.window = null;
    this.redraw();
  }

  paint(frame) {
    const { plane } = frame;
    if (!plane || !this.context) return;
    if (this.plane?.queries !== plane.queries || this.plane?.keys !== plane.keys) {
      [this.plane, this.window] = [plane, null];
      this.resize();
    }
    const state = `${plane.id}|${plane.moment}|${JSON.stringify(this.window)}|${this.viewer.header.run}|${plane.window?.name}`;
    if (this.drawn !== state || this.drawnOf !== this.viewer.colours) {
      [this.plane, this.drawn, this.drawnOf] = [plane, state, this.viewer.colours];
      this.draw();
    }
    this.mark(frame);
  }

  /** Where the cells are: the window of queries and keys, and the size of a cell. */
  get place() {
    const { plane } = this;
    const now = this.window ?? { q: 0, k: 0, queries: plane.queries, keys: plane.keys };
    const edge = LABELS + BAND;
    return {
      ...now,
      left: edge,
      top: edge,
      across: (this.width - edge) / now.keys,
      down: (this.height - edge) / now.queries,
    };
  }

  draw() {
    const { context, plane, place } = this;
    const { say, colours } = this.viewer;
    const fetched = plane.isLong && this.window ? windowName(plane, this.window) : null;
    if (fetched && plane.window?.name !== fetched) this.viewer.fetching.ask([`window/${plane.id}/${fetched}`]);
    const isHere = fetched && plane.window?.name === fetched;
    const most = isHere ? plane.window.most : largestOfPlane(plane);
    this.most = most;
    context.clearRect(0, 0, this.width, this.height);
    context.imageSmoothingEnabled = false;
    const small = plane.isLong ? this.means(most, place) : this.pooled(most, place);
    context.drawImage(small, place.left, place.top, this.width - place.left, this.height - place.top);
    this.bands(context, place, colours);
    this.names(context, place, colours);
    if (place.across >= ROOM_ACROSS && place.down >= ROOM_DOWN) this.numbers(context, place, most);
    setText(this.title, say("matrix-of", { way: this.viewer.wayOf(plane.id) }));
    if (this.at) this.tell(this.at); // what is fetched may be exact by now
    const isPooled = place.keys > this.across || place.queries > this.tall;
    const means = this.viewer.header.source === "kept" ? "matrix-means" : "matrix-means-only";
    const about = plane.isLong ? means : isPooled ? "matrix-pooled" : null;
    setText(this.note, say("matrix-note", { largest: short(most) }) + (about ? " " + say(about) : ""));
  }

  /** The cells of the window at one pixel each; where there are more cells than pixels, the largest of each pixel. */
  pooled(most, { q, k, queries, keys }) {
    const { plane } = this;
    const ratio = window.devicePixelRatio || 1;
    this.across = Math.min(keys, Math.max(1, Math.floor((this.width - LABELS - BAND) * ratio)));
    this.tall = Math.min(queries, Math.max(1, Math.floor((this.height - LABELS - BAND) * ratio)));
    const largest = new Uint16Array(this.across * this.tall);
    for (let row = 0; row < queries; row++) {
      const to = Math.floor((row * this.tall) / queries) * this.across;
      const from = (q + row) * plane.keys + k;
      for (let column = 0; column < keys; column++) {
        const at = to + Math.floor((column * this.across) / keys);
        const code = plane.codes[from + column];
        if (code > largest[at]) largest[at] = code;
      }
    }
    const image = new ImageData(this.across, this.tall);
    const pixels = new Uint32Array(image.data.buffer);
    const values = lut(plane.codes.decade);
    largest.forEach((code, at) => (pixels[at] = AMOUNTS.packed[step(values[code], most, false)]));
    const canvas = make("canvas", { width: this.across, height: this.tall });
    canvas.getContext("2d").putImageData(image, 0, 0);
    return canvas;
  }

  /** The means of a long plane, at most as many as there are pixels. */
  means(most, { q, k, queries, keys }) {
    const ratio = window.devicePixelRatio || 1;
    this.across = Math.min(keys, Math.max(1, Math.floor((this.width - LABELS - BAND) * ratio)));
    this.tall = Math.min(queries, Math.max(1, Math.floor((this.height - LABELS - BAND) * ratio)));
    const image = new ImageData(this.across, this.tall);
    const pixels = new Uint32Array(image.data.buffer);
    for (let row = 0, at = 0; row < this.tall; row++) {
      const query = q + Math.floor((row * queries) / this.tall);
      for (let column = 0; column < this.across; column++, at++) {
        const key = k + Math.floor((column * keys) / this.across);
        pixels[at] = AMOUNTS.packed[step(this.plane.around(query, key).amount, most, false)];
      }
    }
    const canvas = make("canvas", { width: this.across, height: this.tall });
    canvas.getContext("2d").putImageData(image, 0, 0);
    return canvas;
  }

  bands(context, place, colours) {
    const { header } = this.viewer;
    const sides = [
      [header.streams[this.plane.queryStream].modality, place.q, place.queries, true],
      [header.streams[this.plane.keyStream].modality, place.k, place.keys, false],
    ];
    for (const [modalities, first, count, isDown] of sides) {
      for (let at = first; at < first + count; at++) {
        const size = isDown ? place.down : place.across;
        const start = (isDown ? place.top : place.left) + (at - first) * size;
        context.fillStyle = MODALITY_COLOURS[modalities[at]];
        if (isDown) context.fillRect(LABELS, start, BAND - 2, size + 0.5);
        else context.fillRect(start, LABELS, size + 0.5, BAND - 2);
        if (at === first || modalities[at] === modalities[at - 1]) continue;
        context.fillStyle = colours.ground;
        if (isDown) context.fillRect(place.left, start - 0.5, this.width - place.left, 1);
        else context.fillRect(start - 0.5, place.top, 1, this.height - place.top);
      }
    }
  }

  /** As many names as fit; where cells are small, the modality in the middle of its band. */
  names(context, place, colours) {
    const { header, say } = this.viewer;
    context.fillStyle = colours.text;
    context.font = `11px ${colours.font}`;
    context.textBaseline = "middle";
    context.textAlign = "right";
    for (const isDown of [true, false]) {
      const stream = header.streams[isDown ? this.plane.queryStream : this.plane.keyStream];
      const [first, count, size] = isDown ? [place.q, place.queries, place.down] : [place.k, place.keys, place.across];
      const labels = size >= 12 ? tokenLabels(stream, first, count) : bandLabels(stream, first, count, size, say);
      for (const { middle, words } of labels) {
        context.save();
        if (isDown) context.translate(LABELS - 4, place.top + middle * size);
        else {
          context.translate(place.left + middle * size, LABELS - 4);
          context.rotate(Math.PI / 2);
        }
        context.fillText(words.length > 14 ? words.slice(0, 13) + "…" : words, 0, 0);
        context.restore();
      }
    }
  }

  numbers(context, place, most) {
    context.textAlign = "center";
    for (let q = 0; q < place.queries; q++) {
      for (let k = 0; k < place.keys; k++) {
        const amount = weight(this.plane, place.q + q, place.k + k);
        if (amount === null) continue;
        context.fillStyle = AMOUNTS.ink[step(amount, most, false)];
        context.fillText(three(amount), place.left + (k + 0.5) * place.across, place.top + (q + 0.5) * place.down);
      }
    }
  }

  /** The row or column of what is chosen, and the cell under the pointer. */
  mark(frame) {
    const context = this.over.getContext("2d");
    const { place } = this;
    context.clearRect(0, 0, this.width, this.height);
    const isFrom = frame.direction === "from";
    const line = (token, colour) => {
      context.fillStyle = colour;
      if (isFrom && token >= place.q && token < place.q + place.queries) {
        const y = place.top + (token - place.q) * place.down;
        context.fillRect(LABELS - 3, y, 5 + BAND, Math.max(2, place.down));
        context.fillRect(place.left, y - 1, this.width, 1);
        context.fillRect(place.left, y + place.down, this.width, 1);
      } else if (!isFrom && token >= place.k && token < place.k + place.keys) {
        const x = place.left + (token - place.k) * place.across;
        context.fillRect(x, LABELS - 3, Math.max(2, place.across), 5 + BAND);
        context.fillRect(x - 1, place.top, 1, this.height);
        context.fillRect(x + place.across, place.top, 1, this.height);
      }
    };
    if (frame.tokens.length < 12) for (const token of frame.tokens) line(token, "#fff");
    if (frame.versus.length < 12) for (const token of frame.versus) line(token, "#fdb863");
    if (this.box) {
      context.strokeStyle = "#fff";
      context.lineWidth = 1.5;
      const { x0, y0, x1, y1 } = this.box;
      context.strokeRect(Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0), Math.abs(y1 - y0));
    }
    if (!this.at) setText(this.exact, this.viewer.say("matrix-point"));
  }

  cellAt(event) {
    if (!this.plane) return null;
    const box = this.stage.getBoundingClientRect();
    const { place } = this;
    const q = Math.floor((event.clientY - box.top - place.top) / place.down);
    const k = Math.floor((event.clientX - box.left - place.left) / place.across);
    return q >= 0 && k >= 0 && q < place.queries && k < place.keys ? { q: place.q + q, k: place.k + k } : null;
  }

  tell(cell) {
    this.at = cell;
    if (!cell) return;
    const { header, say } = this.viewer;
    const from = header.streams[this.plane.queryStream].name[cell.q];
    const to = header.streams[this.plane.keyStream].name[cell.k];
    const amount = weight(this.plane, cell.q, cell.k);
    if (amount !== null) return setText(this.exact, say("weight", { from, to, amount: three(amount) }));
    const mean = this.plane.around(cell.q, cell.k);
    const { queries, keys } = mean;
    setText(this.exact, say("weight-mean", { from, to, queries, keys, amount: short(mean.amount) }));
  }
}

function tokenLabels(stream, first, count) {
  return Array.from({ length: count }, (_, at) => ({ middle: at + 0.5, words: stream.name[first + at] }));
}

function bandLabels(stream, first, count, size, say) {
  const labels = [];
  for (let at = first; at < first + count;) {
    let end = at;
    while (end < first + count && stream.modality[end] === stream.modality[at]) end++;
    if ((end - at) * size >= 12)
      labels.push({ middle: (at + end) / 2 - first, words: say("modality-" + stream.modality[at]) });
    at = end;
  }
  return labels;
}
