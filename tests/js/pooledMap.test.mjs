// A plane without all its weights: means at first, exact rows and windows as they come.
import assert from "node:assert/strict";
import { test } from "node:test";

import { amounts, Planes, weight } from "../../mmviz/viewer/js/attentionRows.js";
import { short, three, writeFine } from "../../mmviz/viewer/js/codes.js";
import { Fetching } from "../../mmviz/viewer/js/fetching.js";
import { makeFrame } from "../../mmviz/viewer/js/frame.js";
import { windowName } from "../../mmviz/viewer/js/pooledMap.js";
import { tellAmount } from "../../mmviz/viewer/js/labels.js";

// Six tokens in three bins, 1 + 2 + 3 wide; codes of decade -1, see frame.test.mjs.
const tenths = (value) => (value === 0 ? 0 : 55000 + Math.round(value * 10000) - 1000);
const coded = (values, shape) => Object.assign(Uint16Array.from(values.map(tenths)), { shape, decade: -1 });
const edges = { queries: [0, 1, 3, 6], keys: [0, 1, 3, 6] };
const header = {
  run: "long",
  source: "kept",
  streams: { all: { modality: Array(6).fill("text"), name: [..."abcdef"], where: Array(6).fill([0, 1]) } },
  maps: [{ queries: "all", keys: "all", heads: 1, layer: 0, edges }],
  flows: {},
  words: {},
  sections: { "overview/0:mean": {} },
};
const OVERVIEW = [0.4, 0.15, 0.1, 0.1, 0.15, 0.2, 0.25, 0.225, 0.1];
const close = (found, expected) => found.forEach((one, k) => assert.ok(Math.abs(one - expected[k]) < 1e-6, `${k}: ${one}`));

function planesWith(sections) {
  const planes = new Planes();
  planes.take({ header, section: (name) => (name === "overview/0:mean" ? coded(OVERVIEW, [3, 3]) : null) });
  const names = Object.keys(sections);
  const part = { header: { run: "long", sections: Object.fromEntries(names.map((name) => [name, {}])) } };
  planes.take({ ...part, section: (name) => sections[name] }, header);
  return planes;
}

const ROW = [0.3, 0.2, 0.1, 0.15, 0.15, 0.1];
const view = { plane: "0:mean", tokens: [4], versus: [], direction: "from", style: "heat", scale: "map" };
const state = { view, hovered: null, previewed: null, pointed: null };

test("before a row is here its bin answers, in both directions", () => {
  const plane = planesWith({}).get("0:mean");
  close(amounts(plane, [4], "from"), [0.25, 0.225, 0.225, 0.1, 0.1, 0.1]);
  close(amounts(plane, [2], "to"), [0.15, 0.15, 0.15, 0.225, 0.225, 0.225]);
  close(amounts(plane, [0, 4], "from"), [0.325, 0.1875, 0.1875, 0.1, 0.1, 0.1]);
  assert.deepEqual(plane.missing([4, 2], "from"), ["row/0:mean/from/4", "row/0:mean/from/2"]);
  assert.equal(weight(plane, 4, 2), null);
  assert.deepEqual(plane.around(4, 2), { amount: plane.overview[7], queries: 3, keys: 2 });
});

test("a row that came is exact, and a group mixes what there is", () => {
  const planes = planesWith({ "row/0:mean/from/4": coded(ROW, [6]) });
  const plane = planes.get("0:mean");
  close(amounts(plane, [4], "from"), ROW);
  close(amounts(plane, [0, 4], "from"), [0.35, 0.175, 0.125, 0.125, 0.125, 0.1]);
  assert.ok(Math.abs(weight(plane, 4, 2) - 0.1) < 1e-9 && weight(plane, 2, 4) === null);
  assert.ok(plane.isExact([4], "from") && !plane.isExact([4], "to") && !plane.isExact([0, 4], "from"));
  assert.deepEqual(plane.missing([4], "from"), []);
  const frame = makeFrame(header, planes, new Map(), state);
  assert.equal(frame.isAbout, false);
  assert.equal(tellAmount(frame, 0.15), "0.150");
  const other = makeFrame(header, planes, new Map(), { ...state, hovered: { stream: "all", tokens: [3] } });
  assert.ok(other.isAbout && tellAmount(other, 0.1) === "≈ 0.10");
});

test("a column that came answers who asks", () => {
  const plane = planesWith({ "row/0:mean/to/2": coded(ROW, [6]) }).get("0:mean");
  close(amounts(plane, [2], "to"), ROW);
  assert.ok(Math.abs(weight(plane, 1, 2) - 0.2) < 1e-9);
});

test("a window gives weights where a bin is one token, else means over its bins", () => {
  const single = planesWith({ "window/0:mean/2-4/1-3": coded([0.1, 0.2, 0.3, 0.4], [2, 2]) }).get("0:mean");
  assert.equal(windowName(single, { q: 2, k: 1, queries: 2, keys: 2 }), "2-4/1-3");
  assert.ok(Math.abs(weight(single, 3, 1) - 0.3) < 1e-9 && weight(single, 3, 3) === null && weight(single, 1, 1) === null);
  // five tokens in two bins: 0 to 1 and 2 to 4
  const wide = planesWith({ "window/0:mean/0-5/0-5": coded([0.1, 0.2, 0.3, 0.4], [2, 2]) }).get("0:mean");
  assert.equal(weight(wide, 3, 1), null);
  const seen = (query, key) => wide.around(query, key);
  assert.deepEqual([seen(1, 1).queries, seen(1, 2).keys, seen(4, 1).queries], [2, 3, 3]);
  close([seen(1, 1).amount, seen(1, 2).amount, seen(2, 1).amount, seen(4, 4).amount], [0.1, 0.2, 0.3, 0.4]);
  assert.equal(seen(5, 5).amount, wide.overview[8], "outside of it the overview answers");
});

test("a group of many is looked at by its bins alone, and rows of long ago go", () => {
  const plane = planesWith({}).get("0:mean");
  assert.deepEqual(plane.missing(Array(17).fill(1), "from"), []);
  for (let k = 0; k < 600; k++) plane.keepRow(`from/${k}`, coded(ROW, [6]));
  assert.equal(plane.rows.size, 512);
  assert.ok(!plane.rows.has("from/0") && plane.rows.has("from/599"));
});

test("what is missing is asked for once, after a rest, and not where nothing is kept", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const asked = [];
  const said = [];
  const viewer = {
    header: { ...header },
    on: { need: (names) => asked.push(names) },
    say: (code) => code,
    wayOf: (id) => id,
    controls: { wait: (words) => said.push(words) },
  };
  const fetching = new Fetching(viewer);
  const planes = planesWith({});
  const paint = (token) => fetching.paint(makeFrame(header, planes, new Map(), { ...state, view: { ...view, tokens: [token] } }));
  paint(1);
  t.mock.timers.tick(50);
  paint(4);
  paint(4);
  t.mock.timers.tick(200);
  paint(4);
  t.mock.timers.tick(200);
  assert.deepEqual(asked, [["row/0:mean/from/4"]], "the pointer only passed over 1");
  assert.ok(said.every((words) => words === "about"));
  viewer.header.source = "overview";
  paint(5);
  t.mock.timers.tick(200);
  assert.equal(asked.length, 1);
  assert.equal(said.at(-1), "about-only");
  fetching.ask(["window/0:mean/0-2/0-2", "plane/0:0"]);
  fetching.arrived(["row/0:mean/from/4"]);
  t.mock.timers.tick(100);
  assert.deepEqual(asked.at(-1), ["plane/0:0"]);
  t.mock.timers.tick(2600);
  assert.equal(asked.length, 3, "it was lost on the way, and is asked for again");
  fetching.arrived(["codes/0:0"]);
  t.mock.timers.tick(10000);
  assert.equal(asked.length, 3);
});

test("small amounts are written out where most are small", () => {
  assert.deepEqual([short(0.00004213), three(0.00004213)], ["<0.0001", "<0.0001"]);
  writeFine(true);
  assert.deepEqual([short(0.00004213), three(0.00004213), short(0), short(0.5)], ["4.2e-5", "4.21e-5", "0", "0.50"]);
  writeFine(false);
});
