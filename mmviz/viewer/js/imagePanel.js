// The image with its patches: amounts as light, or as heat.
import { AMOUNTS, colourIndex, DIFFERENCES, DIMMED_GROUND, HEAT, shareOfScale } from "./colours.js";
import { fitCanvas, make, onScreen, setText, snapped } from "./dom.js";
import { twoDigits } from "./numberFormat.js";
import { nameOfUnit } from "./mapUnits.js";
import { boxesOf, contains, disjointCells, extent, intersect } from "./patchPlaces.js";
import { listenToPointer } from "./tokenPointer.js";
import { makeTokenGrid } from "./rovingTabindex.js";

const MAX_OUTLINED = 3; // patches
const MAX_HEIGHT_OF_IMAGE = 430; // CSS pixels
const MAX_HEIGHT_ON_PHONE = 640;
const MAX_SHARE_OF_WINDOW = 0.85; // of its height: a picture that is higher cannot be seen whole
const MIN_HEIGHT = 240; // CSS pixels, whatever the window
const NAME_HEIGHT = 18; // CSS pixels of the name of a picture on a sheet

/** The panel `image`: the decoded image, or grey where the run has none, under the amounts of its patches. */
export class ImagePanel {
  constructor(viewer) {
    this.viewer = viewer;
    this.canvas = make("canvas", { "aria-hidden": "true" });
    this.stage = make("div", { class: "stage" }, this.canvas);
    this.element = make("section", { class: "panel", "data-panel": "image", "aria-label": viewer.say("image") });
    listenToPointer(
      this.stage,
      (x, y) => this.tokenAt(x, y),
      (first, last) => this.between(first, last),
      viewer,
    );
  }

  /** Lays out a layer for each of the `streams` that has patches. */
  build(streams) {
    const { header, say } = this.viewer;
    this.layers = streams
      .map((name) => ({ name, boxes: boxesOf(header.streams[name]) }))
      .filter((layer) => layer.boxes.length);
    this.size = header.image ?? extent(this.layers);
    this.parts = header.image?.parts ?? []; // of several pictures, or frames of a video, on one sheet
    const heading = make("h3", { text: say("image") });
    if (!this.layers.length) {
      this.element.replaceChildren(heading, make("p", { class: "empty", text: say("image-none") }));
      return;
    }
    const grids = this.layers.map((layer) => {
      const name = this.layers.length > 1 ? `${say("image")}, ${layer.name}` : say("image");
      const places = layer.boxes.filter(({ isLater }) => !isLater);
      const { element, buttons } = makeTokenGrid(this.viewer, layer.name, places, name);
      buttons.forEach((button, k) => {
        const { box } = places[k];
        const [x0, x1] = [box[0], box[2]].map((x) => (100 * x) / this.size.width);
        const [y0, y1] = [box[1], box[3]].map((y) => (100 * y) / this.size.height);
        button.style.cssText = `left:${x0}%;top:${y0}%;width:${x1 - x0}%;height:${y1 - y0}%`;
      });
      return element;
    });
    this.stage.replaceChildren(this.canvas, ...grids);
    this.note = make("p", { class: "note" });
    const sees = header.image?.note ? [make("p", { class: "note", "data-part": "sees", text: header.image.note })] : [];
    this.element.replaceChildren(heading, this.stage, this.note, ...sees);
    for (const layer of this.layers) layer.cells = disjointCells(layer.boxes);
    this.base = null;
  }

  /** Replaces the decoded image, an ImageBitmap or null, and frees the one before. */
  setBitmap(bitmap) {
    this.bitmap?.close();
    this.bitmap = bitmap;
    this.base = null;
  }

  /** Decodes a JPEG (bytes, or null) and shows it, unless it comes too late: `isCurrent()` is false. Returns whether. */
  async decode(bytes, isCurrent) {
    const bitmap = bytes && (await createImageBitmap(new Blob([bytes], { type: "image/jpeg" })));
    if (!isCurrent()) bitmap?.close();
    else this.setBitmap(bitmap);
    return isCurrent();
  }

  destroy() {
    this.setBitmap(null);
  }

  resize() {
    if (!this.layers?.length) return;
    const { width, height } = this.size;
    const room = this.element.clientWidth;
    const inWindow = Math.max(MIN_HEIGHT, MAX_SHARE_OF_WINDOW * window.innerHeight);
    const most = Math.min(inWindow, this.viewer.isNarrow ? MAX_HEIGHT_ON_PHONE : MAX_HEIGHT_OF_IMAGE * this.viewer.scale);
    this.height = Math.min((room * height) / width, most);
    this.width = Math.min(room, (this.height * width) / height);
    this.stage.style.width = `${this.width}px`;
    this.stage.style.height = `${this.height}px`;
    this.context = fitCanvas(this.canvas, this.width, this.height);
    this.base = null;
  }

  paint(frame) {
    if (!this.layers?.length || !this.context) return;
    const { context, width, height } = this;
    const layer = this.layers.find(({ name }) => name === frame.litStream) ?? null;
    const isHeat = frame.style === "heat" || frame.isDifference;
    this.base ??= this.drawBases();
    context.globalAlpha = 1;
    context.clearRect(0, 0, width, height);
    const isLit = Boolean(layer && frame.amounts);
    context.drawImage(isHeat || isLit ? this.base.grey : this.base.colour, 0, 0, width, height);
    if (isLit && !isHeat) this.dim();
    const [scaleX, scaleY] = [width / this.size.width, height / this.size.height];
    if (isLit) {
      for (const { x0, y0, x1, y1, tokens } of layer.cells) {
        let amount = 0;
        for (const token of tokens)
          if (Math.abs(frame.amounts[token]) > Math.abs(amount)) amount = frame.amounts[token];
        // rounded to the device pixel, or the seams between patches show
        const [left, top] = [snapped(x0 * scaleX), snapped(y0 * scaleY)];
        const area = [left, top, snapped(x1 * scaleX) - left, snapped(y1 * scaleY) - top];
        context.globalAlpha = isHeat ? HEAT : shareOfScale(amount, frame.largest);
        if (isHeat) {
          const table = frame.isDifference ? DIFFERENCES : AMOUNTS;
          context.fillStyle = table.css[colourIndex(amount, frame.largest, frame.isDifference)];
          context.fillRect(...area);
        } else if (context.globalAlpha) this.drawInColour(...area);
      }
      context.globalAlpha = 1;
      const outlined = frame.isDifference ? [] : this.strongestPatches(layer, frame);
      for (const { token } of outlined) this.outlineToken(layer, token, 1.5);
    }
    this.nameParts();
    const chosen = this.layers.find(({ name }) => name === frame.chosenStream);
    for (const { token, box } of chosen?.boxes ?? []) {
      if (frame.tokens.includes(token)) this.ring(box, []);
      else if (frame.versus.includes(token)) this.ring(box, [4, 3]);
    }
    const pointed = this.layers.find(({ name }) => name === frame.pointed?.stream);
    if (pointed) this.outlineToken(pointed, frame.pointed.token, 2.5);
    this.note.hidden = !isLit || isHeat;
    if (this.note.hidden) return;
    const { say } = this.viewer;
    setText(this.note, say("image-light", { unit: nameOfUnit(say, frame.mapRef), largest: twoDigits(frame.largest) }));
  }

  /** Dims what is drawn, in grey, down to the light that an amount of 0 keeps, towards a dark grey. */
  dim() {
    const { context } = this;
    context.globalAlpha = 1 - this.viewer.colours.lightFloor;
    context.globalCompositeOperation = "source-atop"; // what lies between pictures stays empty
    context.fillStyle = `rgb(${DIMMED_GROUND},${DIMMED_GROUND},${DIMMED_GROUND})`;
    context.fillRect(0, 0, this.width, this.height);
    context.globalCompositeOperation = "source-over";
    context.globalAlpha = 1;
  }

  /** Draws a part of the picture in colour, as opaque as the context is. */
  drawInColour(left, top, width, height) {
    if (width <= 0 || height <= 0) return;
    const { colour } = this.base;
    const [scaleX, scaleY] = [colour.width / this.width, colour.height / this.height];
    this.context.drawImage(colour, left * scaleX, top * scaleY, width * scaleX, height * scaleY, left, top, width, height);
  }

  /** Returns at most three patches whose amount is at least half of the scale; none of those that tie for the last place. */
  strongestPatches(layer, frame) {
    const amount = ({ token }) => frame.amounts[token];
    const strong = layer.boxes.filter((patch) => !patch.isLater && amount(patch) >= frame.largest / 2);
    strong.sort((a, b) => amount(b) - amount(a));
    if (strong.length <= MAX_OUTLINED) return strong;
    return strong.slice(0, MAX_OUTLINED).filter((patch) => amount(patch) > amount(strong[MAX_OUTLINED]));
  }

  /** Returns canvases of the image without amounts: in `colour`, and in `grey` to lie under heat. */
  drawBases() {
    const { width, height } = this.canvas;
    const [colour, grey] = [make("canvas", { width, height }), make("canvas", { width, height })];
    const context = colour.getContext("2d", { willReadFrequently: true });
    if (this.parts.length) {
      // what lies between pictures is no part of any
      const [scaleX, scaleY] = [width / this.size.width, height / this.size.height];
      context.beginPath();
      for (const { box } of this.parts) {
        const [left, right] = [box[0], box[2]].map((x) => Math.round(x * scaleX));
        const [top, bottom] = [box[1], box[3]].map((y) => Math.round(y * scaleY));
        context.rect(left, top, right - left, bottom - top);
      }
      context.clip();
    }
    context.fillStyle = "#888";
    context.fillRect(0, 0, colour.width, colour.height);
    if (this.bitmap) {
      context.imageSmoothingQuality = "high";
      context.drawImage(this.bitmap, 0, 0, colour.width, colour.height);
    }
    const image = context.getImageData(0, 0, colour.width, colour.height);
    for (let at = 0; at < image.data.length; at += 4) {
      const [r, g, b] = image.data.subarray(at, at + 3);
      image.data[at] = image.data[at + 1] = image.data[at + 2] = 0.299 * r + 0.587 * g + 0.114 * b;
    }
    grey.getContext("2d").putImageData(image, 0, 0);
    return { colour, grey };
  }

  /** Writes the name of each picture of a sheet into its corner, where there is room. */
  nameParts() {
    const { context } = this;
    context.font = `600 13px ${this.viewer.colours.font}`;
    context.textAlign = "left";
    context.textBaseline = "middle";
    for (const { box, name } of this.parts) {
      const [left, top, width, height] = this.rectangle(box);
      const room = context.measureText(name).width + 8;
      if (room > width || height < 2 * NAME_HEIGHT) continue;
      context.fillStyle = "rgba(0,0,0,0.65)";
      context.fillRect(left, top, room, NAME_HEIGHT);
      context.fillStyle = "#fff";
      context.fillText(name, left + 4, top + NAME_HEIGHT / 2 + 0.5);
    }
  }

  /** Outlines a patch, in every frame that it is in. */
  outlineToken(layer, token, lineWidth) {
    for (const patch of layer.boxes) if (patch.token === token) this.outline(patch.box, "#000", "#fff", lineWidth);
  }

  /** Draws a rectangle of two colours inside the edge of a patch. */
  outline(box, outer, inner, lineWidth) {
    const { context } = this;
    const [left, top, width, height] = this.rectangle(box);
    const edge = [left + lineWidth, top + lineWidth, width - 2 * lineWidth, height - 2 * lineWidth];
    context.strokeStyle = outer;
    context.lineWidth = lineWidth * 2;
    context.strokeRect(...edge);
    context.strokeStyle = inner;
    context.lineWidth = lineWidth;
    context.strokeRect(...edge);
  }

  /** Draws the ring that marks a pinned patch. */
  ring(box, dashes) {
    const { context } = this;
    const [left, top, width, height] = this.rectangle(box);
    const radius = Math.max(4, Math.min(width, height) / 2 - 4);
    for (const [colour, lineWidth] of [
      ["#000", 5],
      ["#fff", 2.5],
    ]) {
      context.strokeStyle = colour;
      context.lineWidth = lineWidth;
      context.setLineDash(colour === "#fff" ? dashes : []);
      context.beginPath();
      context.arc(left + width / 2, top + height / 2, radius, 0, 2 * Math.PI);
      context.stroke();
    }
    context.setLineDash([]);
  }

  /** Returns [left, top, width, height] in CSS pixels of a box in pixels of the image. */
  rectangle([x0, y0, x1, y1]) {
    const [scaleX, scaleY] = [this.width / this.size.width, this.height / this.size.height];
    return [x0 * scaleX, y0 * scaleY, (x1 - x0) * scaleX, (y1 - y0) * scaleY];
  }

  /** Returns the box of a token on the screen; null where it is no patch. */
  placeOf(stream, token) {
    const patch = this.layers.find(({ name }) => name === stream)?.boxes.find((box) => box.token === token);
    return patch ? onScreen(this.stage, this.rectangle(patch.box)) : null;
  }

  /** Returns the {stream, token} at a position in CSS pixels; null beside all patches. */
  tokenAt(x, y) {
    const [imageX, imageY] = [(x / this.width) * this.size.width, (y / this.height) * this.size.height];
    for (const layer of this.viewer.inOrder(this.layers)) {
      const patch = layer.boxes.find(({ box }) => contains(box, imageX, imageY));
      if (patch) return { stream: layer.name, token: patch.token };
    }
    return null;
  }

  /** Returns the tokens whose boxes intersect the rectangle from one patch to another. */
  between(first, last) {
    const layer = this.layers.find(({ name }) => name === first.stream);
    const [start, end] = [first, last].map((target) => layer.boxes.find(({ token }) => token === target.token).box);
    const around = [
      Math.min(start[0], end[0]),
      Math.min(start[1], end[1]),
      Math.max(start[2], end[2]),
      Math.max(start[3], end[3]),
    ];
    return [...new Set(layer.boxes.filter(({ box }) => intersect(box, around)).map(({ token }) => token))];
  }
}
