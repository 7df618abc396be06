// Patches of a spectrogram: which of them lies at a time and a frequency, worked out on paper.
import assert from "node:assert/strict";
import { test } from "node:test";

import { bandOf, hasBand, heightsOf, patchesBetween, placeAt } from "../../mmviz/viewer/js/spectrogramPlaces.js";

const [BANDS, RATE] = [64, 16000];
// 2 bands of 2 moments: tokens 0 and 1 are low, 2 and 3 are high.
const places = [0, 1].flatMap((row) =>
  [0, 1].map((column) => ({ token: 2 * row + column, span: [column, column + 1, 1000 * row, 1000 * (row + 1)] })),
);

test("a frequency lies where the ticks of the spectrogram put it", () => {
  // below 1 kHz, Slaney's mel is 3/200 of the hertz; 8 kHz is 15 + 27 ln 8 / ln 6.4, of which a step is 1/65
  const step = (15 + (27 * Math.log(8)) / Math.log(6.4)) / 65;
  assert.ok(Math.abs(bandOf(500, BANDS, RATE) - (7.5 / step - 0.5)) < 1e-9);
  assert.equal(bandOf(0, BANDS, RATE), 0);
  assert.equal(bandOf(14000, BANDS, RATE), BANDS);
});

test("a moment takes the whole height, a patch its band, the high ones above the low ones", () => {
  assert.equal(hasBand([0, 1]), false);
  assert.deepEqual(heightsOf([0, 1], BANDS, RATE), [0, 1]);
  const [low, high] = [heightsOf(places[0].span, BANDS, RATE), heightsOf(places[2].span, BANDS, RATE)];
  assert.equal(low[1], 1);
  assert.equal(low[0], high[1]);
  assert.ok(high[0] < high[1] && high[0] > 0);
});

test("pointing finds the patch of its band, and beside the spectrogram the first at that time", () => {
  const at = (time, hertz) => placeAt(places, time, 1 - bandOf(hertz, BANDS, RATE) / BANDS, BANDS, RATE)?.token;
  assert.deepEqual([at(0.5, 500), at(0.5, 1500), at(1.5, 500), at(1.5, 1500)], [0, 2, 1, 3]);
  assert.equal(placeAt(places, 1.5, null, BANDS, RATE).token, 1);
  assert.equal(placeAt(places, 2.5, null, BANDS, RATE), undefined);
});

test("a drag covers the patches of its rectangle", () => {
  assert.deepEqual(patchesBetween(places, places[0].span, places[1].span), [0, 1]);
  assert.deepEqual(patchesBetween(places, places[2].span, places[0].span), [0, 2]);
  assert.deepEqual(patchesBetween(places, places[3].span, places[0].span), [0, 1, 2, 3]);
});
