// The sound: waveform, a strip of amounts, and the mel spectrogram under light; it plays, and the playhead sweeps.
import { AMOUNTS, DIFFERENCES, HEAT, step, veil } from "./colours.js";
import { fitCanvas, make, makeProxy, makeSkip, setText, snapped } from "./dom.js";
import { listen, tokensBetween } from "./pointing.js";
import { Player } from "./player.js";
import { MANY, rove, stay } from "./rovingTabindex.js";

const WAVE = 62; // CSS pixels of each part, from the top
const STRIP = 12;
const MEL = 96;
const AXIS = 18;
const LEFT = 38;
const GAP = 4;

/** The panel `sound`. */
export class SoundPanel {
  constructor(viewer) {
    this.viewer = viewer;
    this.canvas = make("canvas", { "aria-hidden": "true" });
    this.stage = make("div", { class: "stage" }, this.canvas);
    this.element = make("section", { class: "panel", "data-panel": "sound", "aria-label": viewer.say("sound") });
    listen(this.stage, (x) => this.find(x), tokensBetween, viewer);
    this.playButton = make("button", { type: "button", class: "play", "data-part": "play" });
    this.playButton.addEventListener("click", () => this.toggle());
    this.clock = make("span", { class: "clock" });
  }

  build(streams) {
    const { header, data, say } = this.viewer;
    this.layers = streams
      .map((name) => ({ name, spans: spansOf(header.streams[name]) }))
      .filter((layer) => layer.spans.length);
    const heading = make("h3", { text: say("sound") });
    if (!this.layers.length) {
      this.element.replaceChildren(heading, make("p", { class: "empty", text: say("sound-none") }));
      return;
    }
    const ends = this.layers.flatMap((layer) => layer.spans.map(({ span }) => span[1]));
    this.seconds = Math.max(header.sound?.seconds ?? 0, ...ends);
    const wave = data.section("wave");
    this.mel = data.section("mel");
    if (this.playerOf !== header.run) {
      this.player?.close();
      this.player =
        wave &&
        new Player(
          wave,
          header.sound.rate,
          (time) => this.sweep(time),
          () => this.rest(),
        );
      this.playerOf = header.run;
    }
    const count = this.layers.reduce((sum, layer) => sum + layer.spans.length, 0);
    this.proxies = this.layers.flatMap((layer) =>
      (count > MANY ? [] : layer.spans).map(({ token, span }) => {
        const proxy = makeProxy(layer.name, token, header.streams[layer.name].place[token]);
        Object.assign(proxy, { span });
        return proxy;
      }),
    );
    this.stage.replaceChildren(this.canvas, ...this.proxies);
    const skip = this.proxies.length ? makeSkip(say("skip", { count }), this.element) : null;
    if (skip) stay(this.stage);
    else {
      const all = this.layers.flatMap(({ name, spans }) => spans.map(({ token }) => ({ stream: name, token })));
      rove(this.stage, this.viewer, say("rove", { count }), all, 10);
    }
    const bar = this.player ? make("div", { class: "player" }, this.playButton, this.clock) : null;
    this.element.replaceChildren(
      ...[make("div", { class: "line" }, heading, ...(bar ? [bar] : [])), skip, this.stage].filter(Boolean),
    );
    this.showPlaying();
  }

  resize() {
    if (!this.layers?.length) return;
    this.width = this.element.clientWidth;
    this.height = WAVE + STRIP + MEL + AXIS + 2 * GAP;
    this.stage.style.width = `${this.width}px`;
    this.stage.style.height = `${this.height}px`;
    this.context = fitCanvas(this.canvas, this.width, this.height);
    this.perSecond = (this.width - LEFT) / this.seconds;
    for (const proxy of this.proxies) {
      const [start, end] = proxy.span;
      proxy.style.cssText = `left:${this.x(start)}px;width:${(end - start) * this.perSecond}px;top:0;height:${this.height - AXIS}px`;
    }
    this.base = null;
  }

  x(seconds) {
    return LEFT + seconds * this.perSecond;
  }

  paint(frame) {
    if (!this.layers?.length || !this.context) return;
    const { context } = this;
    const colours = this.viewer.colours;
    if (this.base?.of !== colours) this.base = this.drawBase(colours);
    context.clearRect(0, 0, this.width, this.height);
    context.drawImage(this.base.canvas, 0, 0, this.width, this.height);
    const top = WAVE + GAP;
    const mel = top + STRIP + GAP;
    const layer = this.layers.find((one) => one.name === frame.lit);
    const table = frame.isDifference ? DIFFERENCES : AMOUNTS;
    const isHeat = frame.style === "heat" || frame.isDifference;
    if (layer && frame.amounts) {
      for (const { token, span } of layer.spans) {
        const amount = frame.amounts[token];
        const [left, right] = [snapped(this.x(span[0])), snapped(this.x(span[1]))];
        const colour = table.css[step(amount, frame.largest, frame.isDifference)];
        context.fillStyle = colour;
        context.fillRect(left, top, right - left, STRIP);
        context.globalAlpha = isHeat ? HEAT : 1;
        context.fillStyle = isHeat ? colour : `rgba(0,0,0,${veil(amount, frame.largest)})`;
        context.fillRect(left, mel, right - left, MEL);
        context.globalAlpha = 1;
      }
    }
    const chosen = this.layers.find((one) => one.name === frame.chosen);
    for (const { token, span } of chosen?.spans ?? []) {
      if (frame.tokens.includes(token)) this.frameOf(span, []);
      else if (frame.versus.includes(token)) this.frameOf(span, [4, 3]);
    }
    const under = this.layers
      .find((one) => one.name === frame.pointed?.stream)
      ?.spans.find(({ token }) => token === frame.pointed.token);
    if (under) this.frameOf(under.span, []);
    if (this.player && (this.player.isPlaying || this.player.time > 0)) {
      const at = this.x(Math.min(this.player.time, this.seconds));
      context.fillStyle = "#d62728";
      context.fillRect(at - 1, 0, 2, this.height - AXIS);
    }
  }

  drawBase(colours) {
    const canvas = make("canvas");
    const context = fitCanvas(canvas, this.width, this.height);
    const mel = WAVE + STRIP + 2 * GAP;
    context.fillStyle = "#000";
    context.fillRect(LEFT, mel, this.width - LEFT, MEL);
    const wave = this.viewer.data.section("wave");
    if (wave) {
      drawWave(context, wave, LEFT, this.x(wave.length / this.viewer.header.sound.rate) - LEFT, colours.muted);
    }
    if (this.mel) this.drawMel(context, mel);
    context.fillStyle = colours.text;
    context.font = `11px ${colours.font}`;
    context.textBaseline = "middle";
    context.textAlign = "right";
    const bands = this.mel?.shape[0] ?? 1;
    for (const [hertz, band] of this.viewer.header.sound?.ticks ?? []) {
      context.fillText(hertz >= 1000 ? `${hertz / 1000}k` : hertz, LEFT - 5, mel + MEL - (band / bands) * MEL);
    }
    if (this.mel) context.fillText("Hz", LEFT - 5, mel + 6);
    context.textAlign = "center";
    const every = [0.1, 0.25, 0.5, 1, 2, 5, 10, 20].find((gap) => gap * this.perSecond >= 44) ?? 30;
    for (let time = 0; time <= this.seconds + 1e-6; time += every) {
      context.fillRect(this.x(time), this.height - AXIS, 1, 3);
      const words = `${Number(time.toFixed(2))} s`;
      const room = context.measureText(words).width / 2;
      context.fillText(words, Math.min(this.width - room, this.x(time)), this.height - AXIS + 11);
    }
    return { canvas, of: colours };
  }

  drawMel(context, top) {
    const [bands, hops] = this.mel.shape;
    const image = new ImageData(hops, bands);
    for (let band = 0; band < bands; band++) {
      for (let hop = 0; hop < hops; hop++) {
        const grey = 51 + 0.8 * this.mel[(bands - 1 - band) * hops + hop]; // silence shows light too
        image.data.set([grey, grey, grey, 255], 4 * (band * hops + hop));
      }
    }
    const small = make("canvas", { width: hops, height: bands });
    small.getContext("2d").putImageData(image, 0, 0);
    const long = hops * this.viewer.header.sound.hop_seconds * this.perSecond;
    context.drawImage(small, LEFT, top, long, MEL);
  }

  frameOf([start, end], dashes) {
    const { context } = this;
    const [left, wide] = [this.x(start), (end - start) * this.perSecond];
    for (const [colour, thick] of [
      ["#000", 4],
      ["#fff", 2],
    ]) {
      context.strokeStyle = colour;
      context.lineWidth = thick;
      context.setLineDash(colour === "#fff" ? dashes : []);
      context.strokeRect(left + 1, 1, Math.max(1, wide - 2), this.height - AXIS - 2);
    }
    context.setLineDash([]);
  }

  find(x) {
    const time = (x - LEFT) / this.perSecond;
    for (const layer of this.viewer.inOrder(this.layers)) {
      const found = layer.spans.find(({ span }) => time >= span[0] && time < span[1]);
      if (found) return { stream: layer.name, token: found.token };
    }
    return null;
  }

  toggle() {
    if (this.player.isPlaying) {
      this.player.pause();
      this.rest();
    } else {
      this.player.play().then(() => this.showPlaying());
    }
  }

  /** While it plays, the frame that is heard is pointed at. */
  sweep(time) {
    const found = this.find(this.x(time));
    this.viewer.heard(found);
    this.showPlaying();
  }

  rest() {
    this.viewer.heard(null);
    this.showPlaying();
  }

  showPlaying() {
    if (!this.player) return;
    const { say } = this.viewer;
    const isPlaying = this.player.isPlaying;
    setText(this.playButton, isPlaying ? say("pause") : say("play"));
    this.playButton.setAttribute("aria-pressed", String(isPlaying));
    setText(this.clock, `${this.player.time.toFixed(1)} / ${this.player.seconds.toFixed(1)} s`);
  }

  close() {
    this.player?.close();
  }
}

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

function spansOf(stream) {
  return stream.where.flatMap((where, token) =>
    stream.modality[token] === "audio" && where ? [{ token, span: where }] : [],
  );
}
