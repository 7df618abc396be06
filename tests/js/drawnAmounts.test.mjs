// What a frame shows and says of a map small enough to be computed on paper.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { AttentionMaps, difference, largest, largestOfMap, strongest } from "../../mmviz/viewer/js/attentionRows.js";
import { AMOUNTS, colourIndex, contrast, DIFFERENCES, STEPS, veil } from "../../mmviz/viewer/js/colours.js";
import { currentView, makeFrame } from "../../mmviz/viewer/js/drawnAmounts.js";
import { describeFrame, describeMap, describeSelection, formatAmount } from "../../mmviz/viewer/js/labels.js";
import { signedTwoDigits } from "../../mmviz/viewer/js/numberFormat.js";

// Codes of decade -1 (units of 1e-10): 1000 + r of decade -1 begin at 55000, so 0.1 * (1 + r / 1000).
const codeOf = (weight) => (weight === 0 ? 0 : 55000 + Math.round(weight * 10000) - 1000);
const WEIGHTS = [
  [0.5, 0.25, 0.25],
  [0.1, 0.2, 0.7],
  [0.125, 0.375, 0.5],
];
const header = {
  run: "paper",
  streams: {
    all: {
      modality: ["special", "text", "image"],
      name: ["answer", "dog", "patch 1,1"],
      location: [null, [0, 3], [0, 0, 1, 1]],
    },
  },
  maps: [
    { ref: "4", stack: "", queries: "all", keys: "all", heads: 2, layer: 4 },
    { ref: "5", stack: "", queries: "all", keys: "all", heads: 2, layer: 5 },
    { ref: "5.1", stack: "", queries: "all", keys: "all", heads: 2, layer: 5 },
  ],
  default_stack: "",
  answer_tokens: { all: 0 },
  flows: {},
  text_pieces: {},
  sections: { "codes/4:0": {} },
};
const codes = Object.assign(Uint16Array.from(WEIGHTS.flat().map(codeOf)), { shape: [3, 3], decade: -1 });
const attnMaps = new AttentionMaps();
attnMaps.addSections({ header, section: (name) => (name === "codes/4:0" ? codes : null) });
const view = { map: "4:0", tokens: [1], versus: [], direction: "from", style: "heat", scale: "view" };
const state = { view, hovered: null, previewed: null, pointed: null };
const frameOf = (changes) => makeFrame(header, attnMaps, new Map(), { ...state, ...changes });
const say = (code, values) => (code === "comma" ? ", " : `${code} ${JSON.stringify(values ?? {})}`);

test("rows and columns, groups and differences", () => {
  assert.deepEqual(Array.from(frameOf({}).amounts), [0.1, 0.2, 0.7]);
  assert.deepEqual(Array.from(frameOf({ view: { ...view, direction: "to" } }).amounts), [0.25, 0.2, 0.375]);
  const group = frameOf({ view: { ...view, tokens: [0, 2] } }).amounts;
  [0.3125, 0.3125, 0.375].forEach((amount, k) => assert.ok(Math.abs(group[k] - amount) < 1e-12));
  const both = frameOf({ view: { ...view, versus: [0] } });
  assert.equal(both.isDifference, true);
  [-0.4, -0.05, 0.45].forEach((amount, k) => assert.ok(Math.abs(both.amounts[k] - amount) < 1e-12));
  assert.ok(Math.abs(both.largest - 0.45) < 1e-12);
  assert.deepEqual(Array.from(difference(Float64Array.of(1), Float64Array.of(3))), [-2]);
});

test("a scale ends at the largest amount with a location, of the view or of the map", () => {
  assert.equal(frameOf({}).largest, 0.7);
  assert.equal(frameOf({ view: { ...view, tokens: [0] } }).largest, 0.25, "0.5 goes to a token without a location");
  assert.equal(frameOf({ view: { ...view, tokens: [0] } }).isBeyond, true);
  assert.equal(frameOf({ view: { ...view, tokens: [0], scale: "map" } }).largest, 0.7);
  assert.equal(frameOf({ view: { ...view, direction: "to", tokens: [0], scale: "map" } }).largest, 0.7);
  const attnMap = attnMaps.get("4:0");
  assert.equal(largestOfMap(attnMap), 0.7);
  assert.equal(largestOfMap(attnMap, [true, false, false], "from"), 0.5, "the first column");
  assert.equal(largestOfMap(attnMap, [false, false, true], "to"), 0.5, "the last row");
  const isDrawn = [false, true, true];
  assert.equal(largest([0, 0, 0], isDrawn), 1);
  assert.equal(largest([0.3, 0, 0], isDrawn), 0.3, "where no token with a location has any");
});

test("what the pointer is on replaces the view for a frame, and leaves it as it was", () => {
  assert.deepEqual(currentView(header, state), view);
  const shown = currentView(header, { ...state, hovered: { stream: "all", tokens: [2] }, previewed: "5:mean" });
  assert.deepEqual([shown.tokens, shown.map], [[2], "5:mean"]);
  assert.equal(frameOf({ previewed: "5:mean" }).attnMap, null, "a map that has not arrived");
});

test("the readout names the tokens, and reads exact amounts while something is pinned", () => {
  assert.equal(describeSelection(header, say, frameOf({})), 'title-from {"token":"“dog”"}');
  const difference = frameOf({ view: { ...view, versus: [0] } });
  const two = describeSelection(header, say, frameOf({ view: { ...view, tokens: [0, 1] } }));
  assert.match(two, /^title-from .*mean-over .*“answer”, “dog”/, "several queries are named as a mean");
  assert.match(describeSelection(header, say, difference), /^title-difference .*“dog”.*“answer”/);
  const pointed = { pointed: { stream: "all", token: 2 } };
  const readout = describeFrame(header, say, frameOf(pointed), true);
  assert.match(readout, /readout-pointed .*"token":"patch 1,1","amount":"0.700"/);
  assert.match(readout, /reverse-weight \{"amount":"0.375"\}/);
  const unpinned = describeFrame(header, say, frameOf(pointed), false);
  assert.match(unpinned, /readout-strongest .*“patch 1,1” 0.700, “dog” 0.200, “answer” 0.100/);
  const group = frameOf({ ...pointed, view: { ...view, tokens: [0, 2] } });
  assert.doesNotMatch(describeFrame(header, say, group, true), /reverse/);
  assert.equal(formatAmount(group, 0.375), "0.38", "two digits of a mean");
  assert.equal(formatAmount(difference, -0.4), "−0.40");
});

test("maps are described by layer and head, and by their streams where a layer has several", () => {
  assert.equal(describeMap(header, say, "4:1"), 'cell-head {"layer":"5","head":2}');
  assert.equal(describeMap(header, say, "5:mean"), 'cell-mean {"layer":"6 (all → all)"}');
  assert.equal(describeMap(header, say, "5.1:0"), 'cell-head {"layer":"6 (all → all)","head":1}');
  assert.equal(describeMap(header, say, "rollout"), "method-rollout {}");
});

test("the strongest come first, none without an amount, and signs are written", () => {
  assert.deepEqual(strongest(Float64Array.of(0.1, -0.5, 0, 0.1), 4), [1, 0, 3]);
  assert.deepEqual([0.5, -0.25, 0, -0.00001].map(signedTwoDigits), ["+0.50", "−0.25", "0", "−<0.0001"]);
});

test("colours are Python's, linear, and text on them can be read", () => {
  const golden = JSON.parse(readFileSync(join(process.env.MMVIZ_GOLDEN, "colours.json"), "utf-8"));
  for (const [share, rgb] of golden.cividis) {
    const colour = AMOUNTS.rgb[colourIndex(share, 1, false)];
    rgb.forEach((part, k) => assert.ok(Math.abs(colour[k] - part) <= 1, `${share}: ${colour}, not ${rgb}`));
  }
  for (const [amount, light] of golden.light) assert.ok(Math.abs(1 - veil(amount, 0.5, 0.4) - light) < 1e-12);
  for (const { rgb, ink } of [AMOUNTS, DIFFERENCES]) {
    rgb.forEach((colour, k) => assert.ok(contrast(colour, ink[k] === "#000" ? [0, 0, 0] : [255, 255, 255]) >= 4.5));
  }
  assert.equal(colourIndex(0, 0.2, true), Math.round(STEPS / 2), "no difference is the middle");
  const ends = [colourIndex(-1, 0.2, true), colourIndex(1, 0.2, true), colourIndex(1, 0.2, false)];
  assert.deepEqual(ends, [0, STEPS, STEPS]);
});
