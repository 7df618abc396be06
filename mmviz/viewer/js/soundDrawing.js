// What is drawn of a sound before any amounts: waveform, spectrogram and axes.
import { fitCanvas, make } from "./dom.js";

const TICK_STEPS = [0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600]; // seconds
const TICK_ROOM = 12; // CSS pixels between two labels, at least

/** Returns the heights of the parts from the top, the room at the `left`, and the size of the `font`, in CSS pixels. */
export function layOutSound(scale, isTall) {
  const size = (pixels) => Math.round(scale * pixels);
  const parts = { wave: size(62), strip: size(12), mel: size(isTall ? 206 : 96), axis: size(20), gap: size(4) };
  const { wave, strip, mel, axis, gap } = parts;
  const melTop = wave + strip + 2 * gap;
  return { ...parts, stripTop: wave + gap, melTop, height: melTop + mel + axis, left: size(40), font: size(13) };
}

/**
 * Returns the labels of a time axis, {time, text, middle}, `middle` in CSS pixels: as many as stand side by side.
 * `measure(text)` is the width of a label; the axis begins at `left`, and the last label does not leave `width`.
 */
export function timeLabels(seconds, left, width, measure) {
  const perSecond = (width - left) / seconds;
  const textOf = (time) => `${Number(time.toFixed(2))} s`;
  const widest = (step) => Math.max(measure(textOf(step)), measure(textOf(Math.floor(seconds / step) * step)));
  const step = TICK_STEPS.find((each) => each * perSecond >= widest(each) + TICK_ROOM) ?? TICK_STEPS.at(-1);
  const labels = [];
  for (let time = 0; time <= seconds + 1e-6; time += step) {
    const text = textOf(time);
    labels.push({ time, text, middle: Math.min(width - measure(text) / 2, left + time * perSecond) });
  }
  const [before, last] = labels.slice(-2);
  const room = last && last.middle - before.middle - (measure(before.text) + measure(last.text)) / 2;
  if (room < TICK_ROOM / 2) last.text = ""; // it was moved in from the edge, onto the one before
  return labels;
}

/**
 * Returns a canvas of waveform, spectrogram and axes. `sound` has `wave`, `mel`, `seconds` and the `audio` of the header;
 * `layout` is that of `layOutSound`, with a `width`.
 */
export function drawSound({ wave, mel, seconds, audio }, layout, colours) {
  const { left, width, height, melTop, font } = layout;
  const canvas = make("canvas");
  const context = fitCanvas(canvas, width, height);
  const perSecond = (width - left) / seconds;
  context.fillStyle = "#000";
  context.fillRect(left, melTop, width - left, layout.mel);
  if (wave) drawWave(context, wave, left, (wave.length / audio.rate) * perSecond, layout.wave, colours.muted);
  if (mel) drawMel(context, mel, left, melTop, mel.shape[1] * audio.hop_seconds * perSecond, layout.mel);
  context.fillStyle = colours.text;
  context.font = `${font}px ${colours.font}`;
  context.textBaseline = "middle";
  context.textAlign = "right";
  const bands = mel?.shape[0] ?? 1;
  for (const [hertz, band] of audio?.ticks ?? []) {
    context.fillText(hertz >= 1000 ? `${hertz / 1000}k` : hertz, left - 5, melTop + layout.mel - (band / bands) * layout.mel);
  }
  if (mel) context.fillText("Hz", left - 5, melTop + font / 2);
  context.textAlign = "center";
  for (const { time, text, middle } of timeLabels(seconds, left, width, (label) => context.measureText(label).width)) {
    context.fillRect(left + time * perSecond, height - layout.axis, 1, 3);
    context.fillText(text, middle, height - layout.axis / 2 + 2);
  }
  return canvas;
}

/** Draws the spectrogram in grey that is never black, so that light can be seen on silence. */
function drawMel(context, mel, left, top, width, height) {
  const [bands, hops] = mel.shape;
  const image = new ImageData(hops, bands);
  for (let band = 0; band < bands; band++) {
    for (let hop = 0; hop < hops; hop++) {
      const grey = 51 + 0.8 * mel[(bands - 1 - band) * hops + hop];
      image.data.set([grey, grey, grey, 255], 4 * (band * hops + hop));
    }
  }
  const canvas = make("canvas", { width: hops, height: bands });
  canvas.getContext("2d").putImageData(image, 0, 0);
  context.drawImage(canvas, left, top, width, height);
}

/** Draws the waveform, one pixel column from the lowest to the highest sample of its time. */
function drawWave(context, wave, left, width, height, colour) {
  const columns = Math.max(1, Math.floor(width));
  const loudest = Math.max(
    1,
    wave.reduce((most, value) => Math.max(most, Math.abs(value)), 0),
  );
  const middle = height / 2;
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
