// What a frame shows and says of a plane small enough to be worked out on paper.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { difference, largest, largestOfPlane, Planes, strongest } from "../../mmviz/viewer/js/attentionRows.js";
import { AMOUNTS, contrast, DIFFERENCES, STEPS, step, veil } from "../../mmviz/viewer/js/colours.js";
import { signed } from "../../mmviz/viewer/js/codes.js";
import { lookingAt, makeFrame } from "../../mmviz/viewer/js/frame.js";
import { tellAmount, tellFrame, tellTitle, tellWay } from "../../mmviz/viewer/js/labels.js";

// Codes of decade -1 (units of 1e-10): 1000 + r of decade -1 begin at 55000, so 0.1 * (1 + r / 1000).
const tenths = (value) => (value === 0 ? 0 : 55000 + Math.round(value * 10000) - 1000);
const WEIGHTS = [
  [0.5, 0.25, 0.25],
  [0.1, 0.2, 0.7],
  [0.125, 0.375, 0.5],
];
const header = {
  run: "paper",
  streams: { all: { modality: ["special", "text", "image"], name: ["answer", "dog", "patch 1,1"], where: [null, [0, 3], [0, 0, 1, 1]] } },
  maps: [
    { queries: "all", keys: "all", heads: 2, layer: 4 },
    { queries: "all", keys: "all", heads: 2, layer: 5 },
    { queries: "all", keys: "all", heads: 2, layer: 5 },
  ],
  flows: {},
  words: {},
  sections: { "codes/0:0": {} },
};
const codes = Object.assign(Uint16Array.from(WEIGHTS.flat().map(tenths)), { shape: [3, 3], decade: -1 });
const planes = new Planes();
planes.take({ header, section: (name) => (name === "codes/0:0" ? codes : null) });
const plane = planes.get("0:0");
const view = { plane: "0:0", tokens: [1], versus: [], direction: "from", style: "heat", scale: "view" };
const state = { view, hovered: null, previewed: null, pointed: null };
const frameOf = (changes) => makeFrame(header, planes, new Map(), { ...state, ...changes });
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

test("a scale ends at the largest amount that has a place, of the view or of the map", () => {
  assert.equal(frameOf({}).largest, 0.7);
  assert.equal(frameOf({ view: { ...view, tokens: [0] } }).largest, 0.25, "0.5 goes to a token without a place");
  assert.equal(frameOf({ view: { ...view, tokens: [0] } }).isBeyond, true);
  assert.equal(frameOf({ view: { ...view, tokens: [0], scale: "map" } }).largest, 0.7);
  assert.equal(frameOf({ view: { ...view, direction: "to", tokens: [0], scale: "map" } }).largest, 0.7);
  const { where } = header.streams.all;
  assert.equal(largestOfPlane(plane), 0.7);
  assert.equal(largestOfPlane(plane, [true, null, null], "from"), 0.5, "the first column");
  assert.equal(largestOfPlane(plane, [null, null, true], "to"), 0.5, "the last row");
  assert.equal(largest([0, 0, 0], where), 1);
  assert.equal(largest([0.3, 0, 0], where), 0.3, "where nothing with a place gets any");
});

test("what the pointer is on takes the place of the view, and leaves it as it was", () => {
  assert.deepEqual(lookingAt(header, state), view);
  const looking = lookingAt(header, { ...state, hovered: { stream: "all", tokens: [2] }, previewed: "1:mean" });
  assert.deepEqual([looking.tokens, looking.plane], [[2], "1:mean"]);
  assert.equal(frameOf({ previewed: "1:mean" }).plane, null, "that is not here");
});

test("the words name who asks, and give exact amounts while something is pinned", () => {
  assert.equal(tellTitle(header, say, frameOf({})), 'title-from {"token":"“dog”"}');
  assert.match(tellTitle(header, say, frameOf({ view: { ...view, versus: [0] } })), /^title-difference .*“dog”.*“answer”/);
  const pointed = { pointed: { stream: "all", token: 2 } };
  const told = tellFrame(header, say, frameOf(pointed), true);
  assert.match(told, /told-pointed .*"token":"patch 1,1","amount":"0.700"/);
  assert.match(told, /back \{"amount":"0.375"\}/, "the weight the other way round");
  assert.match(tellFrame(header, say, frameOf(pointed), false), /told-most .*“patch 1,1” 0.700, “dog” 0.200, “answer” 0.100/);
  const group = frameOf({ ...pointed, view: { ...view, tokens: [0, 2] } });
  assert.doesNotMatch(tellFrame(header, say, group, true), /back/);
  assert.equal(tellAmount(group, 0.375), "0.38", "two digits of a mean");
  assert.equal(tellAmount(frameOf({ view: { ...view, versus: [0] } }), -0.4), "−0.40");
});

test("layers go by their number, and by their streams where there are several maps", () => {
  assert.equal(tellWay(header, say, "0:1"), 'cell-head {"layer":"5","head":2}');
  assert.equal(tellWay(header, say, "1:mean"), 'cell-mean {"layer":"6 (all → all)"}');
  assert.equal(tellWay(header, say, "rollout"), "way-rollout {}");
});

test("the strongest come first, none without an amount, and signs are written", () => {
  assert.deepEqual(strongest(Float64Array.of(0.1, -0.5, 0, 0.1), 4), [1, 0, 3]);
  assert.deepEqual([0.5, -0.25, 0, -0.00001].map(signed), ["+0.50", "−0.25", "0", "−<0.0001"]);
});

test("colours are Python's, linear, and their ink can be read", () => {
  const golden = JSON.parse(readFileSync(join(process.env.MMVIZ_GOLDEN, "colours.json"), "utf-8"));
  for (const [share, rgb] of golden.cividis) {
    const found = AMOUNTS.rgb[step(share, 1, false)];
    rgb.forEach((part, k) => assert.ok(Math.abs(found[k] - part) <= 1, `${share}: ${found}, not ${rgb}`));
  }
  for (const [amount, light] of golden.light) assert.ok(Math.abs(1 - veil(amount, 0.5) - light) < 1e-12);
  for (const { rgb, ink } of [AMOUNTS, DIFFERENCES]) {
    rgb.forEach((colour, k) => assert.ok(contrast(colour, ink[k] === "#000" ? [0, 0, 0] : [255, 255, 255]) >= 4.5));
  }
  assert.equal(step(0, 0.2, true), Math.round(STEPS / 2), "no difference is the middle");
  assert.deepEqual([step(-1, 0.2, true), step(1, 0.2, true), step(1, 0.2, false)], [0, STEPS, STEPS]);
});
