// The audio: waveform, a strip of amounts, and the mel spectrogram under light. It plays, and a playhead moves along.
import { AMOUNTS, colourIndex, DIFFERENCES, HEAT, veil } from "./colours.js";
import { fitCanvas, make, onScreen, setText, snapped } from "./dom.js";
import { listenToPointer, tokensBetween } from "./tokenPointer.js";
import { AudioPlayer } from "./audioPlayer.js";
import { makeTokenGrid } from "./rovingTabindex.js";
import { drawSound, layOutSound } from "./soundDrawing.js";
import { hasWideImage } from "./breakpoints.js";
import { hasBand, heightsOf, patchesBetween, placeAt } from "./spectrogramPlaces.js";


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
    this.sound = { wave, mel: this.mel, seconds: this.seconds, audio: header.audio };
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
    this.layout = { ...layOutSound(this.viewer.scale, hasWideImage(this.viewer.header)), width: this.width };
    this.height = this.layout.height;
    this.stage.style.width = `${this.width}px`;
    this.stage.style.height = `${this.height}px`;
    this.context = fitCanvas(this.canvas, this.width, this.height);
    this.perSecond = (this.width - this.layout.left) / this.seconds;
    for (const { button, span } of this.buttons) {
      const [left, top, width, height] = this.rectangle(span);
      button.style.cssText = `left:${left}px;width:${width}px;top:${top}px;height:${height}px`;
    }
    this.base = null;
  }

  /** Returns the x position of a time, in CSS pixels. */
  x(seconds) {
    return this.layout.left + seconds * this.perSecond;
  }

  /** Returns top and bottom of a span in shares of the height of the spectrogram. */
  heights(span) {
    return heightsOf(span, this.mel?.shape[0] ?? 1, this.viewer.header.audio?.rate ?? 1);
  }

  /** Returns [left, top, width, height] of a span: of a patch, on the spectrogram alone. */
  rectangle(span) {
    const [left, width] = [this.x(span[0]), (span[1] - span[0]) * this.perSecond];
    if (!hasBand(span)) return [left, 0, width, this.height - this.layout.axis];
    const [top, bottom] = this.heights(span).map((share) => this.layout.melTop + share * this.layout.mel);
    return [left, top, width, bottom - top];
  }

  paint(frame) {
    if (!this.layers?.length || !this.context) return;
    const { context } = this;
    const colours = this.viewer.colours;
    const { stripTop, strip, melTop, mel, axis } = this.layout;
    if (this.base?.colours !== colours) this.base = { canvas: drawSound(this.sound, this.layout, colours), colours };
    context.clearRect(0, 0, this.width, this.height);
    context.drawImage(this.base.canvas, 0, 0, this.width, this.height);
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
        const [high, low] = this.heights(span).map((share) => snapped(melTop + share * mel));
        const [left, right] = [snapped(this.x(span[0])), snapped(this.x(span[1]))];
        const colour = table.css[colourIndex(amount, frame.largest, frame.isDifference)];
        context.fillStyle = colour;
        context.fillRect(left, stripTop, right - left, strip);
        context.globalAlpha = isHeat ? HEAT : 1;
        context.fillStyle = isHeat ? colour : `rgba(0,0,0,${veil(amount, frame.largest, colours.lightFloor)})`;
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
      context.fillRect(playhead - 1, 0, 2, this.height - axis);
    }
  }

  /** Numbers each of several sounds, and draws a line where one ends and the next begins. */
  divideParts(colours) {
    const { context } = this;
    const { wave, font, gap, strip, mel, stripTop } = this.layout;
    context.font = `600 ${font}px ${colours.font}`;
    context.textAlign = "left";
    context.textBaseline = "middle";
    (this.viewer.header.audio?.parts ?? []).forEach(([start], k) => {
      const left = snapped(this.x(start));
      context.fillStyle = colours.text;
      context.fillText(k + 1, left + 4, font / 2 + 1);
      if (!k) return;
      context.fillRect(left, 0, 1, wave);
      context.fillStyle = "#fff"; // on the spectrogram, which is dark in every theme
      context.fillRect(left, stripTop, 1, strip + gap + mel);
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

  /** Returns the box of a token on the screen; null where it is no moment of the sound. */
  placeOf(stream, token) {
    const moment = this.layers.find(({ name }) => name === stream)?.spans.find((span) => span.token === token);
    return moment ? onScreen(this.stage, this.rectangle(moment.span)) : null;
  }

  /** Returns the {stream, token} at a position in CSS pixels, `y` null for any height; null beside all spans. */
  tokenAt(x, y = null) {
    const time = (x - this.layout.left) / this.perSecond;
    const height = y === null ? null : (y - this.layout.melTop) / this.layout.mel;
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

/** Returns {token, span} of every audio token of a stream; a span is [start, end] in seconds, of a patch with its hertz. */
function spansOf(stream) {
  return stream.location.flatMap((span, token) =>
    stream.modality[token] === "audio" && span ? [{ token, span }] : [],
  );
}
