// Vectors and matrices as colours and bars, whose numbers are read one at a time.
import { DIFFERENCES, MODALITY_COLOURS, step } from "./colours.js";
import { fitCanvas, make, setText, snapped } from "./dom.js";
import { plain } from "./steps.js";

export const GUTTER = 46; // CSS pixels left of what goes along the keys
const STRIPE = 5;
const NAMES = 15;
const PAGE = 10; // numbers that the page keys go

/** The largest size of numbers: where a scale from minus to plus ends; 1 where all are 0. */
export function mostOf(...vectors) {
  let most = 0;
  for (const values of vectors)
    for (const one of values) if (Number.isFinite(one)) most = Math.max(most, Math.abs(one));
  return most || 1;
}

/** The colours of signed numbers, and the range they stand for. */
export class Range {
  constructor(label) {
    this.low = make("span");
    this.high = make("span");
    const bar = make("i", { class: "bar", style: `background:${DIFFERENCES.gradient}` });
    this.element = make("div", { class: "legend" }, make("span", { text: label }), this.low, bar, this.high);
  }

  paint(most) {
    setText(this.low, "−" + plain(most, 3));
    setText(this.high, "+" + plain(most, 3));
  }
}

/** A canvas whose numbers are told one at a time in `output`: that under the pointer, or that the arrow keys reach. */
class Reading {
  constructor(viewer, output, label) {
    Object.assign(this, { viewer, output, at: 0, count: 0 });
    this.canvas = make("canvas", { "aria-hidden": "true" });
    this.stage = make(
      "div",
      {
        class: "stage",
        role: "slider",
        tabindex: "0",
        "data-rover": "true",
        "aria-label": label,
        "aria-valuemin": "1",
      },
      this.canvas,
    );
    this.stage.addEventListener("pointermove", (event) => this.point(event));
    this.stage.addEventListener("pointerleave", () => viewer.tip.hide());
    this.stage.addEventListener("click", (event) => this.choose?.(this.under(event)));
    this.stage.addEventListener("keydown", (event) => this.key(event));
    this.stage.addEventListener("focus", () => this.stage.matches(":focus-visible") && this.tell());
  }

  under(event) {
    const box = this.stage.getBoundingClientRect();
    const found = this.find(event.clientX - box.left, event.clientY - box.top);
    return Math.min(this.count - 1, Math.max(0, Math.floor(found)));
  }

  point(event) {
    const words = this.words(this.under(event));
    setText(this.output, words);
    if (event.pointerType !== "touch") this.viewer.tip.show(words, event);
  }

  key(event) {
    const by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: PAGE, PageDown: -PAGE }[event.key];
    if (by) this.at += by;
    else if (event.key === "Home") this.at = 0;
    else if (event.key === "End") this.at = this.count - 1;
    else return;
    this.at = Math.min(this.count - 1, Math.max(0, this.at));
    event.preventDefault();
    event.stopPropagation();
    this.choose?.(this.at);
    this.tell();
  }

  tell() {
    this.mark();
    setText(this.output, this.words(this.at));
  }

  /** What assistive technology is told of the place. */
  mark() {
    this.at = Math.min(this.at, this.count - 1);
    this.stage.setAttribute("aria-valuemax", this.count);
    this.stage.setAttribute("aria-valuenow", this.at + 1);
    this.stage.setAttribute("aria-valuetext", this.words(this.at));
  }

  /** A frame that is seen on light and on dark: on a line of the ground's colour. */
  box(context, x, y, width, height, ledge = 4) {
    const { ground, text } = this.viewer.colours;
    for (const [colour, wide] of [[ground, ledge], [text, 1.5]]) {
      context.strokeStyle = colour;
      context.lineWidth = wide;
      context.strokeRect(x, y, width, height);
    } // prettier-ignore
  }

  /** Give the canvas its size; the context to draw with. */
  fit(width, height) {
    [this.width, this.height] = [width, height];
    this.stage.style.height = `${height}px`;
    const context = fitCanvas(this.canvas, width, height);
    context.clearRect(0, 0, width, height);
    return context;
  }
}

/** A vector as a row of colours; `told` is what its numbers are called, or tells each. */
export class Strip extends Reading {
  constructor(viewer, output, name) {
    super(viewer, output, name);
    this.name = make("span", { class: "name", text: name });
    this.element = make("div", { class: "strip" }, this.name, this.stage);
  }

  paint(values, most, told) {
    this.count = values.length;
    this.words = typeof told === "function" ? told : (k) => `${told} ${k + 1}: ${plain(values[k])}`;
    this.find = (x) => (x / this.width) * this.count;
    this.mark();
    const context = this.fit(this.stage.clientWidth || 1, 16);
    line(context, values, most, 0, 0, this.width, 16);
  }
}

/** A linear map on a board: what it takes above, the matrix below it, what it makes to the right. */
export class MapFigure extends Reading {
  constructor(viewer, output, label, tall) {
    super(viewer, output, label);
    this.tall = tall;
    this.range = make("span", { class: "note" });
    this.element = make("figure", {}, make("figcaption", { text: label }), this.stage, this.range);
  }

  /**
   * `id`: of the matrix; `names`: of what is taken and of what is made; `range(mosts)`: what their scales are; `mark`:
   * numbers taken that are framed, from and to.
   */
  paint({ id, taken, matrix, bias, made, names, range, mark = null }) {
    const [rows, top, aside] = [made.length, 18, 18];
    this.count = rows + taken.length;
    this.words = (k) => {
      if (k >= rows) return `${names[0]} ${k - rows + 1}: ${plain(taken[k - rows])}`;
      const before = made[k] - (bias ? bias[k] : 0);
      return `${names[1]} ${k + 1}: ${plain(made[k])} = ${plain(before)} + ${plain(bias ? bias[k] : 0)}`;
    };
    const context = this.fit(this.stage.clientWidth || 1, top + this.tall);
    const across = this.width - aside;
    this.find = (x, y) => (y < top ? rows + (x / across) * taken.length : ((y - top) / this.tall) * rows);
    this.mark();
    const most = [taken, matrix, made].map((values) => mostOf(values));
    line(context, taken, most[0], 0, 0, across, top - 6);
    if (this.id !== id) [this.id, this.image] = [id, imageOf(matrix, rows, taken.length, most[1])];
    context.imageSmoothingEnabled = false;
    context.drawImage(this.image, 0, top, across, this.tall);
    made.forEach((value, row) => {
      const [from, to] = [row, row + 1].map((at) => snapped(top + (at / rows) * this.tall));
      context.fillStyle = DIFFERENCES.css[step(value, most[2], true)];
      context.fillRect(across + 6, from, aside - 6, to - from);
    });
    if (mark) {
      const [from, to] = mark.map((at) => (at / taken.length) * across);
      this.box(context, from + 2, 2, to - from - 4, top + this.tall - 4);
    }
    setText(this.range, range(most.map((one) => plain(one, 2))));
  }
}

/** What goes along the keys, in the order of their modalities: the keys themselves, or a number for each. */
export class KeyFigure extends Reading {
  constructor(viewer, output, label) {
    super(viewer, output, label);
    this.element = this.stage;
  }

  /** `order` of the keys, their `modalities`, the `chosen` one, `words(key)`, and `choose(key)` for a click on one. */
  along({ order, modalities, chosen, words, choose }, height) {
    this.count = order.length;
    this.at = order.indexOf(chosen);
    this.words = (k) => words(order[k]);
    this.choose = (k) => choose(order[k]);
    this.find = (x) => ((x - GUTTER) / (this.width - GUTTER)) * this.count;
    this.mark();
    const context = this.fit(this.stage.clientWidth || 1, height);
    const cell = (this.width - GUTTER) / this.count;
    const left = (k) => GUTTER + k * cell;
    const bands = (y, isNamed) => {
      for (let k = 0; k < order.length;) {
        const modality = modalities[order[k]];
        let end = k;
        while (end < order.length && modalities[order[end]] === modality) end += 1;
        context.fillStyle = MODALITY_COLOURS[modality];
        context.fillRect(left(k), y, Math.max(1, left(end) - left(k) - (end < order.length ? 1 : 0)), STRIPE);
        const name = this.viewer.say("modality-" + modality);
        this.write(context, "left");
        if (isNamed && context.measureText(name).width < left(end) - left(k)) context.fillText(name, left(k), y - 7);
        k = end;
      }
    };
    return { context, cell, left, bands };
  }

  write(context, align) {
    context.fillStyle = this.viewer.colours.muted;
    context.font = `11px ${this.viewer.colours.font}`;
    context.textBaseline = "middle";
    context.textAlign = align;
  }

  /** Frame the chosen key. */
  frame(context, left, cell, top, bottom) {
    this.box(context, left(this.at) - 2, top, Math.max(cell, 2) + 4, bottom - top, 3);
  }

  /** The keys (`id` says which) side by side, each a column of its numbers, and the query as a column at the left. */
  paintKeys(place, id, query, keys, most) {
    const size = query.length;
    const tall = Math.min(144, Math.max(64, 2 * size));
    const top = NAMES + STRIPE + 3;
    const { context, cell, left, bands } = this.along(place, top + tall + 3);
    bands(NAMES, true);
    if (this.id !== id) {
      this.id = id;
      const turned = new Float32Array(keys.length);
      const count = place.order.length;
      place.order.forEach((key, k) => {
        for (let row = 0; row < size; row++) turned[row * count + k] = keys[key * size + row];
      });
      this.image = imageOf(turned, size, count, most);
    }
    context.imageSmoothingEnabled = false;
    context.drawImage(this.image, GUTTER, top, this.width - GUTTER, tall);
    query.forEach((value, row) => {
      const [from, to] = [row, row + 1].map((at) => snapped(top + (at / size) * tall));
      context.fillStyle = DIFFERENCES.css[step(value, most, true)];
      context.fillRect(GUTTER - 26, from, 16, to - from);
    });
    this.write(context, "center");
    context.fillText("q", GUTTER - 18, NAMES);
    this.write(context, "right");
    context.fillText("×", GUTTER - 1, top + tall / 2);
    this.frame(context, left, cell, top - 1, top + tall + 1);
  }

  /** A bar for every key; a thin line where it stood `before`, keys that take no part greyed. */
  paintBars(place, values, { before = null, blocked = () => false, height = 64 }) {
    const { context, cell, left, bands } = this.along(place, height);
    const finite = [...values, ...(before ?? [])].filter(Number.isFinite);
    const [low, high] = [Math.min(0, ...finite), Math.max(0, ...finite)];
    const [top, bottom] = [6, height - STRIPE - 4];
    const y = (value) => bottom - ((value - low) / (high - low || 1)) * (bottom - top);
    const { colours } = this.viewer;
    place.order.forEach((key, k) => {
      if (blocked(key)) {
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
      place.order.forEach((key, k) => {
        context.moveTo(left(k), y(before[key]));
        context.lineTo(left(k + 1), y(before[key]));
      });
      context.stroke();
    }
    context.fillStyle = colours.muted;
    context.fillRect(GUTTER, y(0), this.width - GUTTER, 0.5);
    bands(height - STRIPE, false);
    this.write(context, "right");
    context.fillText(plain(high, 2), GUTTER - 5, high ? top + 3 : y(0));
    if (low < 0) context.fillText(plain(low, 2), GUTTER - 5, bottom - 2);
    this.frame(context, left, cell, top - 3, bottom + 2);
  }
}

/** A vector as colours side by side in a box of a canvas. */
function line(context, values, most, x, y, width, height) {
  values.forEach((value, k) => {
    const [from, to] = [k, k + 1].map((at) => snapped(x + (at / values.length) * width));
    context.fillStyle = DIFFERENCES.css[step(value, most, true)];
    context.fillRect(from, y, to - from, height);
  });
}

/** A matrix at one pixel a number. */
function imageOf(values, rows, columns, most) {
  const image = new ImageData(columns, rows);
  const pixels = new Uint32Array(image.data.buffer);
  values.forEach((value, at) => (pixels[at] = DIFFERENCES.packed[step(value, most, true)]));
  const canvas = make("canvas", { width: columns, height: rows });
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}
