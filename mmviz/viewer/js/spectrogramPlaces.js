// Where tokens of a sound lie on the spectrogram: moments over its whole height, patches in their band of frequencies.

/** Returns a frequency in bands of a mel spectrogram (Slaney's scale), as `mel_ticks` in Python; 0 is the lowest edge. */
export function bandOf(hertz, bands, rate) {
  const step = mel(rate / 2) / (bands + 1);
  return Math.min(bands, Math.max(0, mel(hertz) / step - 0.5));
}

function mel(hertz) {
  return hertz < 1000 ? (hertz * 3) / 200 : 15 + (27 * Math.log(hertz / 1000)) / Math.log(6.4);
}

/** Returns whether a span, [start, end] in seconds or [start, end, low, high] with hertz, has a band. */
export function hasBand(span) {
  return span.length > 2;
}

/** Returns top and bottom of a span in shares of the height of a spectrogram of `bands` bands, 0 at the top. */
export function heightsOf(span, bands, rate) {
  return hasBand(span) ? [span[3], span[2]].map((hertz) => 1 - bandOf(hertz, bands, rate) / bands) : [0, 1];
}

/** Returns the place {token, span} at a time and a height (a share, null for none); undefined beside all of them. */
export function placeAt(places, time, height, bands, rate) {
  const now = places.filter(({ span }) => time >= span[0] && time < span[1]);
  const isInside = ({ span }) => {
    const [top, bottom] = heightsOf(span, bands, rate);
    return height >= top && height < bottom;
  };
  return (height === null ? undefined : now.find(isInside)) ?? now[0];
}

/** Returns the tokens of all patches that meet the rectangle from one span to another. */
export function patchesBetween(places, first, last) {
  const [start, low] = [0, 2].map((k) => Math.min(first[k], last[k]));
  const [end, high] = [1, 3].map((k) => Math.max(first[k], last[k]));
  const isMet = ({ span }) => span[0] < end && span[1] > start && span[2] < high && span[3] > low;
  return places.filter(isMet).map(({ token }) => token);
}
