// The audio: waveform, a strip of amounts, and the mel spectrogram under light. It plays, and a playhead moves along.
import { AMOUNTS, colourIndex, DIFFERENCES, HEAT, veil } from "./colours.js";
import { fitCanvas, make, setText, snapped } from "./dom.js";
import { listenToPointer, tokensBetween } from "./tokenPointer.js";
import { AudioPlayer } from "./audioPlayer.js";
import { makeTokenGrid } from "./rovingTabindex.js";
import { hasBand, heightsOf, patchesBetween, placeAt } from "./spectrogramPlaces.js";

const WAVE = 62; // heights of the parts in CSS pixels, from the top
const STRIP = 12;
const MEL = 96;
const AXIS = 18;
const LEFT = 38; // CSS pixels for the frequencies at the left
const GAP = 4;

/** The panel `audio`. */
export class AudioPanel {
  constructor(viewer) {
    this.viewer = viewer;
    this.canvas = make("canvas", { "aria-hidden": "true" });
    this.stage = make("div", { class: "stage" }, this.canvas);
    this.element = make("section", { class: "panel", "data-panel": "audio", "aria-label": viewer.say("audio") });
    listenToPointer(
      this.stage,
      (x, y) => this.tokenAt(x, y),
      (first, last) => this.between(first, last),
      viewer,
    );
    this.playButton = make("button", { type: "button", class: "play", "data-part": "play" });
    this.playButton.addEventListener("click", () => this.toggle());
    this.time = make("span", { class: "time" });
  }

  /** Lays out a layer for each of the `streams` that has audio tokens. */
  build(streams) {
    const { header, data, say } = this.viewer;
    this.player?.destroy();
    this.player = null;
    this.layers = streams
      .map((name) => ({ name, spans: spansOf(header.streams[name]) }))
      .filter((layer) => layer.spans.length);
    const heading = make("h3", { text: say("audio") });
    if (!this.layers.length) {
      this.element.replaceChildren(heading, make("p", { class: "empty", text: say("audio-none") }));
      return;
    }
    const ends = this.layers.flatMap((layer) => layer.spans.map(({ span }) => span[1]));
    this.seconds = Math.max(header.audio?.seconds ?? 0, ...ends);
    const wave = data.section("wave");
    this.mel = data.section("mel");
    this.player = wave && this.makePlayer(wave, header.audio.rate);
    this.buttons = [];
    const grids = this.layers.map((layer) => {
      const places = layer.spans.map(({ token, span }) => {
        const [top, bottom] = this.heights(span);
        return { token, box: [span[0], top, span[1], bottom] };
      });
      const name = this.layers.length > 1 ? `${say("audio")}, ${layer.name}` : say("audio");
      const { element, buttons } = makeTokenGrid(this.viewer, layer.name, places, name);
      this.buttons.push(...buttons.map((button, k) => ({ button, span: layer.spans[k].span })));
      return element;
    });
    this.stage.replaceChildren(this.canvas, ...grids);
    const player = this.player ? make("div", { class: "player" }, this.playButton, this.time) : null;
    const line = make("div", { class: "line" }, heading, player);
    this.element.replaceChildren(line, this.stage);
    this.updatePlayer();
  }

  makePlayer(wave, rate) {
    return new AudioPlayer(
      wave,
      rate,
      (time) => this.onMove(time),
      () => this.onStop(),
    );
  }

  resize() {
    if (!this.layers?.length) return;
    this.width = this.element.clientWidth;
    this.height = WAVE + STRIP + MEL + AXIS + 2 * GAP;
    this.stage.style.width = `${this.width}px`;
    this.stage.style.height = `${this.height}px`;
    this.context = fitCanvas(this.canvas, this.width, this.height);
    this.perSecond = (this.width - LEFT) / this.seconds;
    for (const { button, span } of this.buttons) {
      const [left, top, width, height] = this.rectangle(span);
      button.style.cssText = `left:${left}px;width:${width}px;top:${top}px;height:${height}px`;
    }
    this.base = null;
  }

  /** Returns the x position of a time, in CSS pixels. */
  x(seconds) {
    return LEFT + seconds * this.perSecond;
  }

  /** Returns top and bottom of a span in shares of the height of the spectrogram. */
  heights(span) {
    return heightsOf(span, this.mel?.shape[0] ?? 1, this.viewer.header.audio?.rate ?? 1);
  }

  /** Returns [left, top, width, height] of a span: of a patch, on the spectrogram alone. */
  rectangle(span) {
    const [left, width] = [this.x(span[0]), (span[1] - span[0]) * this.perSecond];
    if (!hasBand(span)) return [left, 0, width, this.height - AXIS];
    const [top, bottom] = this.heights(span).map((share) => WAVE + STRIP + 2 * GAP + share * MEL);
    return [left, top, width, bottom - top];
  }

  paint(frame) {
    if (!this.layers?.length || !this.context) return;
    const { context } = this;
    const colours = this.viewer.colours;
    if (this.base?.colours !== colours) this.base = this.drawBase(colours);
    context.clearRect(0, 0, this.width, this.height);
    context.drawImage(this.base.canvas, 0, 0, this.width, this.height);
    const top = WAVE + GAP;
    const mel = top + STRIP + GAP;
    const layer = this.layers.find(({ name }) => name === frame.litStream);
    const table = frame.isDifference ? DIFFERENCES : AMOUNTS;
    const isHeat = frame.style === "heat" || frame.isDifference;
    if (layer && frame.amounts) {
      // where patches share a moment, its strip shows the largest amount
      const spans = layer.spans.some(({ span }) => hasBand(span))
        ? [...layer.spans].sort((a, b) => Math.abs(frame.amounts[a.token]) - Math.abs(frame.amounts[b.token]))
        : layer.spans;
      for (const { token, span } of spans) {
        const amount = frame.amounts[token];
        const [high, low] = this.heights(span).map((share) => snapped(mel + share * MEL));
        const [left, right] = [snapped(this.x(span[0])), snapped(this.x(span[1]))];
        const colour = table.css[colourIndex(amount, frame.largest, frame.isDifference)];
        context.fillStyle = colour;
        context.fillRect(left, top, right - left, STRIP);
        context.globalAlpha = isHeat ? HEAT : 1;
        context.fillStyle = isHeat ? colour : `rgba(0,0,0,${veil(amount, frame.largest)})`;
        context.fillRect(left, high, right - left, low - high);
        context.globalAlpha = 1;
      }
    }
    this.divideParts(colours);
    const chosen = this.layers.find(({ name }) => name === frame.chosenStream);
    for (const { token, span } of chosen?.spans ?? []) {
      if (frame.tokens.includes(token)) this.outline(span, []);
      else if (frame.versus.includes(token)) this.outline(span, [4, 3]);
    }
    const pointed = this.layers
      .find(({ name }) => name === frame.pointed?.stream)
      ?.spans.find(({ token }) => token === frame.pointed.token);
    if (pointed) this.outline(pointed.span, []);
    if (this.player && (this.player.isPlaying || this.player.time > 0)) {
      const playhead = this.x(Math.min(this.player.time, this.seconds));
      context.fillStyle = "#d62728";
      context.fillRect(playhead - 1, 0, 2, this.height - AXIS);
    }
  }

  /** Returns a canvas of waveform, spectrogram and axes without amounts. */
  drawBase(colours) {
    const canvas = make("canvas");
    const context = fitCanvas(canvas, this.width, this.height);
    const mel = WAVE + STRIP + 2 * GAP;
    context.fillStyle = "#000";
    context.fillRect(LEFT, mel, this.width - LEFT, MEL);
    const wave = this.viewer.data.section("wave");
    if (wave) {
      const width = this.x(wave.length / this.viewer.header.audio.rate) - LEFT;
      drawWave(context, wave, LEFT, width, colours.muted);
    }
    if (this.mel) this.drawMel(context, mel);
    context.fillStyle = colours.text;
    context.font = `11px ${colours.font}`;
    context.textBaseline = "middle";
    context.textAlign = "right";
    const bands = this.mel?.shape[0] ?? 1;
    for (const [hertz, band] of this.viewer.header.audio?.ticks ?? []) {
      context.fillText(hertz >= 1000 ? `${hertz / 1000}k` : hertz, LEFT - 5, mel + MEL - (band / bands) * MEL);
    }
    if (this.mel) context.fillText("Hz", LEFT - 5, mel + 6);
    context.textAlign = "center";
    const every = [0.1, 0.25, 0.5, 1, 2, 5, 10, 20].find((gap) => gap * this.perSecond >= 44) ?? 30;
    for (let time = 0; time <= this.seconds + 1e-6; time += every) {
      context.fillRect(this.x(time), this.height - AXIS, 1, 3);
      const label = `${Number(time.toFixed(2))} s`;
      const room = context.measureText(label).width / 2;
      context.fillText(label, Math.min(this.width - room, this.x(time)), this.height - AXIS + 11);
    }
    return { canvas, colours };
  }

  /** Draws the spectrogram in grey that is never black, so that light can be seen on silence. */
  drawMel(context, top) {
    const [bands, hops] = this.mel.shape;
    const image = new ImageData(hops, bands);
    for (let band = 0; band < bands; band++) {
      for (let hop = 0; hop < hops; hop++) {
        const grey = 51 + 0.8 * this.mel[(bands - 1 - band) * hops + hop];
        image.data.set([grey, grey, grey, 255], 4 * (band * hops + hop));
      }
    }
    const canvas = make("canvas", { width: hops, height: bands });
    canvas.getContext("2d").putImageData(image, 0, 0);
    const width = hops * this.viewer.header.audio.hop_seconds * this.perSecond;
    context.drawImage(canvas, LEFT, top, width, MEL);
  }

  /** Numbers each of several sounds, and draws a line where one ends and the next begins. */
  divideParts(colours) {
    const { context } = this;
    context.font = `600 11px ${colours.font}`;
    context.textAlign = "left";
    context.textBaseline = "middle";
    (this.viewer.header.audio?.parts ?? []).forEach(([start], k) => {
      const left = snapped(this.x(start));
      context.fillStyle = colours.text;
      context.fillText(k + 1, left + 4, 7);
      if (!k) return;
      context.fillRect(left, 0, 1, WAVE);
      context.fillStyle = "#fff"; // on the spectrogram, which is dark in every theme
      context.fillRect(left, WAVE + GAP, 1, STRIP + GAP + MEL);
    });
  }

  /** Draws the frame that marks a span. */
  outline(span, dashes) {
    const { context } = this;
    const [left, top, width, height] = this.rectangle(span);
    for (const [colour, lineWidth] of [
      ["#000", 4],
      ["#fff", 2],
    ]) {
      context.strokeStyle = colour;
      context.lineWidth = lineWidth;
      context.setLineDash(colour === "#fff" ? dashes : []);
      context.strokeRect(left + 1, top + 1, Math.max(1, width - 2), Math.max(1, height - 2));
    }
    context.setLineDash([]);
  }

  /** Returns the {stream, token} at a position in CSS pixels, `y` null for any height; null beside all spans. */
  tokenAt(x, y = null) {
    const time = (x - LEFT) / this.perSecond;
    const height = y === null ? null : (y - WAVE - STRIP - 2 * GAP) / MEL;
    const [bands, rate] = [this.mel?.shape[0] ?? 1, this.viewer.header.audio?.rate ?? 1];
    for (const layer of this.viewer.inOrder(this.layers)) {
      const place = placeAt(layer.spans, time, height, bands, rate);
      if (place) return { stream: layer.name, token: place.token };
    }
    return null;
  }

  /** Returns the tokens that a drag covers. */
  between(first, last) {
    const { spans } = this.layers.find(({ name }) => name === first.stream);
    const [from, to] = [first, last].map((target) => spans.find(({ token }) => token === target.token).span);
    return hasBand(from) ? patchesBetween(spans, from, to) : tokensBetween(first, last);
  }

  toggle() {
    if (this.player.isPlaying) {
      this.player.pause();
      this.onStop();
    } else {
      this.player.play().then(() => this.updatePlayer());
    }
  }

  /** While the audio plays, the token at the playhead is pointed at. */
  onMove(time) {
    this.viewer.followPlayback(this.tokenAt(this.x(time)), time);
    this.updatePlayer();
  }

  onStop() {
    this.viewer.followPlayback(null);
    this.updatePlayer();
  }

  updatePlayer() {
    if (!this.player) return;
    const { say } = this.viewer;
    const isPlaying = this.player.isPlaying;
    setText(this.playButton, isPlaying ? say("pause") : say("play"));
    this.playButton.setAttribute("aria-pressed", String(isPlaying));
    setText(this.time, `${this.player.time.toFixed(1)} / ${this.player.seconds.toFixed(1)} s`);
  }

  destroy() {
    this.player?.destroy();
  }
}

/** Draws the waveform, one pixel column from the lowest to the highest sample of its time. */
function drawWave(context, wave, left, width, colour) {
  const columns = Math.max(1, Math.floor(width));
  const loudest = Math.max(
    1,
    wave.reduce((most, value) => Math.max(most, Math.abs(value)), 0),
  );
  const middle = WAVE / 2;
  context.fillStyle = colour;
  for (let column = 0; column < columns; column++) {
    const from = Math.floor((column * wave.length) / columns);
    const to = Math.max(from + 1, Math.floor(((column + 1) * wave.length) / columns));
    let [low, high] = [0, 0];
    for (let at = from; at < to; at++) {
      if (wave[at] < low) low = wave[at];
      if (wave[at] > high) high = wave[at];
    }
    const up = middle - (high / loudest) * (middle - 2);
    context.fillRect(left + column, up, 1, Math.max(1, middle - (low / loudest) * (middle - 2) - up));
  }
}

/** Returns {token, span} of every audio token of a stream; a span is [start, end] in seconds, of a patch with its hertz. */
function spansOf(stream) {
  return stream.location.flatMap((span, token) =>
    stream.modality[token] === "audio" && span ? [{ token, span }] : [],
  );
}
