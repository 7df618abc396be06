// A map without all its weights: means over bins at first, exact rows and windows as they arrive.
import assert from "node:assert/strict";
import { test } from "node:test";

import { amounts, AttentionMaps, weight } from "../../mmviz/viewer/js/attentionRows.js";
import { makeFrame } from "../../mmviz/viewer/js/drawnAmounts.js";
import { formatAmount } from "../../mmviz/viewer/js/labels.js";
import { threeDigits, twoDigits, writeSmallAmounts } from "../../mmviz/viewer/js/numberFormat.js";
import { windowName } from "../../mmviz/viewer/js/pooledMap.js";
import { SectionFetcher } from "../../mmviz/viewer/js/sectionFetcher.js";

// Six tokens in three bins of 1, 2 and 3 tokens; codes of decade -1, see frameState.test.mjs.
const codeOf = (weight) => (weight === 0 ? 0 : 55000 + Math.round(weight * 10000) - 1000);
const quantized = (values, shape) => Object.assign(Uint16Array.from(values.map(codeOf)), { shape, decade: -1 });
const edges = { queries: [0, 1, 3, 6], keys: [0, 1, 3, 6] };
const header = {
  run: "long",
  source: "kept",
  streams: { all: { modality: Array(6).fill("text"), name: [..."abcdef"], location: Array(6).fill([0, 1]) } },
  maps: [{ ref: "0", stack: "", queries: "all", keys: "all", heads: 1, layer: 0, edges }],
  default_stack: "",
  answer_tokens: { all: 0 },
  flows: {},
  text_pieces: {},
  sections: { "overview/0:mean": {} },
};
const OVERVIEW = [0.4, 0.15, 0.1, 0.1, 0.15, 0.2, 0.25, 0.225, 0.1];
const assertClose = (actual, expected) =>
  actual.forEach((value, k) => assert.ok(Math.abs(value - expected[k]) < 1e-6, `${k}: ${value}`));

/** Returns the maps of the run, with these sections of an answer added. */
function mapsWith(sections) {
  const attnMaps = new AttentionMaps();
  attnMaps.addSections({ header, section: (name) => (name === "overview/0:mean" ? quantized(OVERVIEW, [3, 3]) : null) });
  const table = Object.fromEntries(Object.keys(sections).map((name) => [name, {}]));
  attnMaps.addSections({ header: { run: "long", sections: table }, section: (name) => sections[name] }, header);
  return attnMaps;
}

const ROW = [0.3, 0.2, 0.1, 0.15, 0.15, 0.1];
const view = { map: "0:mean", tokens: [4], versus: [], direction: "from", style: "heat", scale: "map" };
const state = { view, hovered: null, previewed: null, pointed: null };

test("before a row arrives its bin stands for it, in both directions", () => {
  const attnMap = mapsWith({}).get("0:mean");
  assertClose(amounts(attnMap, [4], "from"), [0.25, 0.225, 0.225, 0.1, 0.1, 0.1]);
  assertClose(amounts(attnMap, [2], "to"), [0.15, 0.15, 0.15, 0.225, 0.225, 0.225]);
  assertClose(amounts(attnMap, [0, 4], "from"), [0.325, 0.1875, 0.1875, 0.1, 0.1, 0.1]);
  assert.deepEqual(attnMap.missingRows([4, 2], "from"), ["row/0:mean/from/4", "row/0:mean/from/2"]);
  assert.equal(weight(attnMap, 4, 2), null);
  assert.deepEqual(attnMap.meanAround(4, 2), { amount: attnMap.overview[7], queries: 3, keys: 2 });
});

test("a row that has arrived is exact, and a group mixes rows and bins", () => {
  const attnMaps = mapsWith({ "row/0:mean/from/4": quantized(ROW, [6]) });
  const attnMap = attnMaps.get("0:mean");
  assertClose(amounts(attnMap, [4], "from"), ROW);
  assertClose(amounts(attnMap, [0, 4], "from"), [0.35, 0.175, 0.125, 0.125, 0.125, 0.1]);
  assert.ok(Math.abs(weight(attnMap, 4, 2) - 0.1) < 1e-9 && weight(attnMap, 2, 4) === null);
  assert.ok(attnMap.isExact([4], "from") && !attnMap.isExact([4], "to") && !attnMap.isExact([0, 4], "from"));
  assert.deepEqual(attnMap.missingRows([4], "from"), []);
  const frame = makeFrame(header, attnMaps, new Map(), state);
  assert.equal(frame.isApproximate, false);
  assert.equal(formatAmount(frame, 0.15), "0.150");
  const other = makeFrame(header, attnMaps, new Map(), { ...state, hovered: { stream: "all", tokens: [3] } });
  assert.ok(other.isApproximate && formatAmount(other, 0.1) === "≈ 0.10");
});

test("a column that has arrived is exact for its key", () => {
  const attnMap = mapsWith({ "row/0:mean/to/2": quantized(ROW, [6]) }).get("0:mean");
  assertClose(amounts(attnMap, [2], "to"), ROW);
  assert.ok(Math.abs(weight(attnMap, 1, 2) - 0.2) < 1e-9);
});

test("a window gives weights where a bin is one token, else means over its bins", () => {
  const exact = mapsWith({ "window/0:mean/2-4/1-3": quantized([0.1, 0.2, 0.3, 0.4], [2, 2]) }).get("0:mean");
  assert.equal(windowName({ q: 2, k: 1, queries: 2, keys: 2 }), "2-4/1-3");
  assert.ok(Math.abs(weight(exact, 3, 1) - 0.3) < 1e-9);
  assert.ok(weight(exact, 3, 3) === null && weight(exact, 1, 1) === null);
  // five tokens in two bins: 0 to 1 and 2 to 4
  const binned = mapsWith({ "window/0:mean/0-5/0-5": quantized([0.1, 0.2, 0.3, 0.4], [2, 2]) }).get("0:mean");
  assert.equal(weight(binned, 3, 1), null);
  const mean = (query, key) => binned.meanAround(query, key);
  assert.deepEqual([mean(1, 1).queries, mean(1, 2).keys, mean(4, 1).queries], [2, 3, 3]);
  assertClose([mean(1, 1).amount, mean(1, 2).amount, mean(2, 1).amount, mean(4, 4).amount], [0.1, 0.2, 0.3, 0.4]);
  assert.equal(mean(5, 5).amount, binned.overview[8], "outside of the window it is the overview's");
});

test("a large group is read from its bins alone, and the oldest rows are dropped", () => {
  const attnMap = mapsWith({}).get("0:mean");
  assert.deepEqual(attnMap.missingRows(Array(17).fill(1), "from"), []);
  for (let k = 0; k < 600; k++) attnMap.addRow(`from/${k}`, quantized(ROW, [6]));
  assert.equal(attnMap.rows.size, 512);
  assert.ok(!attnMap.rows.has("from/0") && attnMap.rows.has("from/599"));
});

test("missing sections are requested once, after a rest, and again where no answer comes", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const requests = [];
  const messages = [];
  const viewer = {
    header: { ...header, background: [] },
    root: { dataset: {} },
    on: { need: (names) => requests.push(names) },
    say: (code) => code,
    describeMap: (mapRef) => mapRef,
    controls: { wait: (text) => messages.push(text) },
  };
  const fetcher = new SectionFetcher(viewer);
  const attnMaps = mapsWith({});
  const paint = (token) =>
    fetcher.paint(makeFrame(header, attnMaps, new Map(), { ...state, view: { ...view, tokens: [token] } }));
  paint(1);
  t.mock.timers.tick(50);
  paint(4);
  paint(4);
  t.mock.timers.tick(200);
  paint(4);
  t.mock.timers.tick(200);
  assert.deepEqual(requests, [["row/0:mean/from/4"]], "the pointer only passed over 1");
  assert.ok(messages.every((text) => text === "approximate"));
  viewer.header.source = "overview";
  paint(5);
  t.mock.timers.tick(200);
  assert.equal(requests.length, 1);
  assert.equal(messages.at(-1), "approximate-only");
  fetcher.request(["window/0:mean/0-2/0-2", "map/0:0"]);
  fetcher.markReceived(["row/0:mean/from/4"]);
  t.mock.timers.tick(100);
  assert.deepEqual(requests.at(-1), ["map/0:0"]);
  t.mock.timers.tick(2600);
  assert.equal(requests.length, 3, "it was lost on the way");
  fetcher.markReceived(["codes/0:0"]);
  t.mock.timers.tick(10000);
  assert.equal(requests.length, 3);
});

// A flow to the tokens of a second, short stream, which no map without all its weights runs over.
const flowHeader = {
  ...header,
  streams: { ...header.streams, few: { modality: Array(2).fill("image"), name: ["x", "y"], location: [null, null] } },
  flows: { rollout: ["all", "all"], "few/rollout": ["all", "few"] },
};

function flowMaps(name, shape) {
  const attnMaps = new AttentionMaps();
  const data = { header: { run: "long", sections: { ["overview/" + name]: {} } } };
  attnMaps.addSections({ ...data, section: () => quantized(OVERVIEW.slice(0, shape[0] * shape[1]), shape) }, flowHeader);
  return attnMaps;
}

test("a flow has the bins of the maps over its streams, and of each token where a stream is short", () => {
  const own = flowMaps("rollout", [3, 3]).get("rollout");
  assertClose(amounts(own, [4], "from"), [0.25, 0.225, 0.225, 0.1, 0.1, 0.1]);
  assert.deepEqual(own.missingRows([4], "to"), ["row/rollout/to/4"]);
  const attnMap = flowMaps("few/rollout", [3, 2]).get("few/rollout");
  assert.deepEqual([attnMap.queries, attnMap.keys, attnMap.edges.to], [6, 2, [0, 1, 2]]);
  assertClose(amounts(attnMap, [1], "to"), [0.15, 0.1, 0.1, 0.2, 0.2, 0.2]);
});

test("rows of a flow are requested for tokens that were chosen, not for those that are passed over", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const [requests, messages] = [[], []];
  const viewer = {
    header: { ...flowHeader, background: [] },
    root: { dataset: {} },
    hovered: null,
    on: { need: (names) => requests.push(names) },
    say: (code) => code,
    describeMap: (mapRef) => mapRef,
    controls: { wait: (text) => messages.push(text) },
  };
  const fetcher = new SectionFetcher(viewer);
  const paint = (attnMaps, token) =>
    fetcher.paint(makeFrame(flowHeader, attnMaps, new Map(), { ...state, view: { ...view, map: "rollout", tokens: [token] } }));
  paint(new AttentionMaps(), 4);
  t.mock.timers.tick(200);
  assert.deepEqual([requests, messages], [[["map/rollout"]], ["computing"]]);
  fetcher.markReceived(["overview/rollout"]);
  const attnMaps = flowMaps("rollout", [3, 3]);
  viewer.hovered = { stream: "all", tokens: [4] };
  paint(attnMaps, 4);
  t.mock.timers.tick(1000);
  assert.deepEqual([requests.length, messages.at(-1)], [1, "approximate-flow"]);
  viewer.hovered = null;
  paint(attnMaps, 4);
  for (const _ of ["rest", "collect"]) t.mock.timers.tick(200);
  assert.deepEqual([requests.at(-1), messages.at(-1)], [["row/rollout/from/4"], "approximate"]);
  viewer.header.source = "overview";
  paint(new AttentionMaps(), 4);
  t.mock.timers.tick(1000);
  assert.deepEqual([requests.length, messages.at(-1)], [2, "not-here"]);
});

test("a destroyed fetcher sends nothing", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const requests = [];
  const on = { need: (names) => requests.push(names) };
  const fetcher = new SectionFetcher({ header: { ...header, background: [] }, root: { dataset: {} }, on });
  fetcher.request(["map/0:0"]);
  fetcher.destroy();
  t.mock.timers.tick(10000);
  assert.deepEqual(requests, []);
});

test("small amounts are written out where most are small", () => {
  assert.deepEqual([twoDigits(0.00004213), threeDigits(0.00004213)], ["<0.0001", "<0.0001"]);
  writeSmallAmounts(true);
  const written = [twoDigits(0.00004213), threeDigits(0.00004213), twoDigits(0), twoDigits(0.5)];
  assert.deepEqual(written, ["4.2e-5", "4.21e-5", "0", "0.50"]);
  writeSmallAmounts(false);
});
