// The picture with its patches: amounts as light, or as heat.
import { AMOUNTS, DIFFERENCES, HEAT, step, veil } from "./colours.js";
import { fitCanvas, make, makeProxy, makeSkip, snapped } from "./dom.js";
import { listen } from "./pointing.js";
import { MANY, rove, stay } from "./rovingTabindex.js";

const OUTLINED = 3;
const HIGHEST = 430; // CSS pixels

/** The panel `picture`. `viewer` gives say, header, picture (ImageBitmap or null), hover, drag, click. */
export class PicturePanel {
  constructor(viewer) {
    this.viewer = viewer;
    this.canvas = make("canvas", { "aria-hidden": "true" });
    this.stage = make("div", { class: "stage" }, this.canvas);
    this.element = make("section", { class: "panel", "data-panel": "picture", "aria-label": viewer.say("picture") });
    listen(
      this.stage,
      (x, y) => this.find(x, y),
      (first, last) => this.between(first, last),
      viewer,
    );
  }

  /** Take the streams whose tokens may lie on the picture, the one pointed at first. */
  build(streams) {
    const { header, say } = this.viewer;
    this.layers = streams
      .map((name) => ({ name, boxes: boxesOf(header.streams[name]) }))
      .filter((layer) => layer.boxes.length);
    this.size = header.picture ?? extent(this.layers);
    const heading = make("h3", { text: say("picture") });
    if (!this.layers.length) {
      this.element.replaceChildren(heading, make("p", { class: "empty", text: say("picture-none") }));
      return;
    }
    const count = this.layers.reduce((sum, layer) => sum + layer.boxes.length, 0);
    this.proxies = this.layers.flatMap((layer) =>
      (count > MANY ? [] : layer.boxes).map(({ token, box }) => {
        const proxy = makeProxy(layer.name, token, header.streams[layer.name].place[token]);
        const { width, height } = this.size;
        const [left, top] = [box[0] / width, box[1] / height];
        const [across, down] = [(box[2] - box[0]) / width, (box[3] - box[1]) / height];
        proxy.style.cssText = `left:${left * 100}%;top:${top * 100}%;width:${across * 100}%;height:${down * 100}%`;
        return proxy;
      }),
    );
    this.stage.replaceChildren(this.canvas, ...this.proxies);
    const skip = this.proxies.length ? makeSkip(say("skip", { count }), this.element) : null;
    if (skip) stay(this.stage);
    else {
      const all = this.layers.flatMap(({ name, boxes }) => boxes.map(({ token }) => ({ stream: name, token })));
      const { boxes } = this.layers[0];
      const stride = Math.max(1, boxes.filter(({ box }) => box[1] === boxes[0].box[1]).length);
      rove(this.stage, this.viewer, say("rove", { count }), all, stride);
    }
    this.note = make("p", { class: "note", text: say("picture-light") });
    this.element.replaceChildren(...[heading, skip, this.stage, this.note].filter(Boolean));
    for (const layer of this.layers) layer.cells = cellsOf(layer.boxes);
    this.base = null;
  }

  resize() {
    if (!this.layers?.length) return;
    const { width, height } = this.size;
    const room = this.element.clientWidth;
    const tall = Math.min((room * height) / width, HIGHEST);
    this.width = Math.min(room, (tall * width) / height);
    this.height = tall;
    this.stage.style.width = `${this.width}px`;
    this.stage.style.height = `${this.height}px`;
    this.context = fitCanvas(this.canvas, this.width, this.height);
    this.base = null;
  }

  paint(frame) {
    if (!this.layers?.length || !this.context) return;
    const { context, width, height } = this;
    const layer = this.layers.find((one) => one.name === frame.lit) ?? null;
    const isHeat = frame.style === "heat" || frame.isDifference;
    this.base ??= this.drawBases();
    context.globalAlpha = 1;
    context.drawImage(isHeat ? this.base.grey : this.base.colour, 0, 0, width, height);
    const [across, down] = [width / this.size.width, height / this.size.height];
    if (layer && frame.amounts) {
      context.globalAlpha = isHeat ? HEAT : 1;
      for (const { x0, y0, x1, y1, tokens } of layer.cells) {
        let amount = 0;
        for (const token of tokens)
          if (Math.abs(frame.amounts[token]) > Math.abs(amount)) amount = frame.amounts[token];
        const table = frame.isDifference ? DIFFERENCES : AMOUNTS;
        if (isHeat) context.fillStyle = table.css[step(amount, frame.largest, frame.isDifference)];
        else context.fillStyle = `rgba(0,0,0,${veil(amount, frame.largest)})`;
        // to the device pixel, or the seams between patches show
        const [left, top] = [snapped(x0 * across), snapped(y0 * down)];
        context.fillRect(left, top, snapped(x1 * across) - left, snapped(y1 * down) - top);
      }
      context.globalAlpha = 1;
      const edges = frame.isDifference ? [] : this.strongest(layer, frame);
      for (const { box } of edges) this.outline(box, "#000", "#fff", 1.5);
    }
    const chosen = this.layers.find((one) => one.name === frame.chosen);
    for (const { token, box } of chosen?.boxes ?? []) {
      if (frame.tokens.includes(token)) this.ring(box, []);
      else if (frame.versus.includes(token)) this.ring(box, [4, 3]);
    }
    const pointed = this.layers.find((one) => one.name === frame.pointed?.stream);
    const under = pointed?.boxes.find(({ token }) => token === frame.pointed.token);
    if (under) this.outline(under.box, "#000", "#fff", 2.5);
    this.note.hidden = !layer || isHeat || !frame.amounts;
  }

  /** At most three patches that get at least half of the scale; of those that tie for the last place none. */
  strongest(layer, frame) {
    const amount = ({ token }) => frame.amounts[token];
    const enough = layer.boxes.filter((one) => amount(one) >= frame.largest / 2).sort((a, b) => amount(b) - amount(a));
    if (enough.length <= OUTLINED) return enough;
    return enough.slice(0, OUTLINED).filter((one) => amount(one) > amount(enough[OUTLINED]));
  }

  drawBases() {
    const { picture } = this.viewer;
    const [colour, grey] = [make("canvas"), make("canvas")];
    for (const one of [colour, grey]) {
      one.width = this.canvas.width;
      one.height = this.canvas.height;
    }
    const context = colour.getContext("2d", { willReadFrequently: true });
    context.fillStyle = "#888";
    context.fillRect(0, 0, colour.width, colour.height);
    if (picture) {
      context.imageSmoothingQuality = "high";
      context.drawImage(picture, 0, 0, colour.width, colour.height);
    }
    const image = context.getImageData(0, 0, colour.width, colour.height);
    for (let at = 0; at < image.data.length; at += 4) {
      const [r, g, b] = image.data.subarray(at, at + 3);
      image.data[at] = image.data[at + 1] = image.data[at + 2] = 0.299 * r + 0.587 * g + 0.114 * b;
    }
    grey.getContext("2d").putImageData(image, 0, 0);
    return { colour, grey };
  }

  outline(box, outer, inner, thick) {
    const { context } = this;
    const [left, top, across, down] = this.rectangle(box);
    context.strokeStyle = outer;
    context.lineWidth = thick * 2;
    context.strokeRect(left + thick, top + thick, across - 2 * thick, down - 2 * thick);
    context.strokeStyle = inner;
    context.lineWidth = thick;
    context.strokeRect(left + thick, top + thick, across - 2 * thick, down - 2 * thick);
  }

  ring(box, dashes) {
    const { context } = this;
    const [left, top, across, down] = this.rectangle(box);
    const radius = Math.max(4, Math.min(across, down) / 2 - 4);
    for (const [colour, thick] of [
      ["#000", 5],
      ["#fff", 2.5],
    ]) {
      context.strokeStyle = colour;
      context.lineWidth = thick;
      context.setLineDash(colour === "#fff" ? dashes : []);
      context.beginPath();
      context.arc(left + across / 2, top + down / 2, radius, 0, 2 * Math.PI);
      context.stroke();
    }
    context.setLineDash([]);
  }

  rectangle([x0, y0, x1, y1]) {
    const [across, down] = [this.width / this.size.width, this.height / this.size.height];
    return [x0 * across, y0 * down, (x1 - x0) * across, (y1 - y0) * down];
  }

  find(x, y) {
    const [across, down] = [(x / this.width) * this.size.width, (y / this.height) * this.size.height];
    for (const layer of this.viewer.inOrder(this.layers)) {
      const found = layer.boxes.find(({ box }) => within(box, across, down));
      if (found) return { stream: layer.name, token: found.token };
    }
    return null;
  }

  /** The tokens whose boxes meet the rectangle from one patch to another. */
  between(first, last) {
    const layer = this.layers.find((one) => one.name === first.stream);
    const [one, other] = [first, last].map(({ token }) => layer.boxes.find((found) => found.token === token).box);
    const around = [
      Math.min(one[0], other[0]),
      Math.min(one[1], other[1]),
      Math.max(one[2], other[2]),
      Math.max(one[3], other[3]),
    ];
    return layer.boxes.filter(({ box }) => meet(box, around)).map(({ token }) => token);
  }
}

function within([x0, y0, x1, y1], x, y) {
  return x >= x0 && x < x1 && y >= y0 && y < y1;
}

function meet(one, other) {
  return one[0] < other[2] && other[0] < one[2] && one[1] < other[3] && other[1] < one[3];
}

function boxesOf(stream) {
  return stream.where.flatMap((where, token) =>
    stream.modality[token] === "image" && where ? [{ token, box: where }] : [],
  );
}

/** The size of a picture that is not there, from the boxes on it. */
function extent(layers) {
  const boxes = layers.flatMap((layer) => layer.boxes.map(({ box }) => box));
  return { width: Math.max(1, ...boxes.map((box) => box[2])), height: Math.max(1, ...boxes.map((box) => box[3])) };
}

/** Rectangles that do not overlap, with the tokens that cover each: where patches overlap the larger amount counts. */
function cellsOf(boxes) {
  const isApart = boxes.every(({ box }, at) => boxes.slice(at + 1, at + 40).every((other) => !meet(box, other.box)));
  if (isApart) return boxes.map(({ token, box: [x0, y0, x1, y1] }) => ({ x0, y0, x1, y1, tokens: [token] }));
  const edges = (at) => [...new Set(boxes.flatMap(({ box }) => [box[at], box[at + 2]]))].sort((a, b) => a - b);
  const [across, down] = [edges(0), edges(1)];
  const cells = [];
  for (let row = 0; row + 1 < down.length; row++) {
    for (let column = 0; column + 1 < across.length; column++) {
      const [x0, x1, y0, y1] = [across[column], across[column + 1], down[row], down[row + 1]];
      const tokens = boxes.filter(({ box }) => meet(box, [x0, y0, x1, y1])).map(({ token }) => token);
      if (tokens.length) cells.push({ x0, y0, x1, y1, tokens });
    }
  }
  return cells;
}
