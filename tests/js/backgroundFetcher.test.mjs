// What the viewer requests by itself, with a viewer that only remembers what it asked for.
import assert from "node:assert/strict";
import { test } from "node:test";

import { SectionFetcher } from "../../mmviz/viewer/js/sectionFetcher.js";

const NAMES = Array.from({ length: 20 }, (_, k) => `map/0:${k}`);

/** A viewer in use with `background` to fetch: its `fetcher`, the `requests` it made, and `answer(delay)` for the last. */
function start(t, background) {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let clock = 0;
  t.mock.method(performance, "now", () => clock);
  const requests = [];
  const root = { dataset: {} };
  const viewer = { header: { background, source: "whole" }, root, on: { need: (names) => requests.push(names) } };
  const fetcher = (viewer.fetcher = new SectionFetcher(viewer));
  const pass = (milliseconds) => {
    clock += milliseconds;
    t.mock.timers.tick(milliseconds);
  };
  const answer = (delay, names = requests.at(-1)) => {
    pass(delay);
    fetcher.markReceived(names.map((name) => name.replace("map/", "codes/")));
  };
  return { fetcher, requests, root, pass, answer };
}

test("quick answers make requests larger, and every map is requested once and in order", (t) => {
  const { fetcher, requests, root, answer } = start(t, NAMES);
  fetcher.markReceived(["codes/1:mean"]); // the first view
  assert.deepEqual([requests, root.dataset.complete], [[], "false"], "not before the viewer is in use");
  fetcher.background.start();
  for (const delay of [3000, 2000, 100]) answer(delay);
  assert.deepEqual(requests.map((names) => names.length), [2, 4, 12, 2]);
  answer(100);
  assert.equal(root.dataset.complete, "true");
  assert.deepEqual(requests.flat(), NAMES);
});

test("slow answers make requests smaller, so that what a visitor requests comes soon", (t) => {
  const { fetcher, requests, answer } = start(t, NAMES);
  fetcher.background.start();
  for (const delay of [2000, 12000, 18000]) answer(delay);
  assert.deepEqual(requests.map((names) => names.length), [2, 6, 3, 1]);
});

test("what a visitor waits for comes first, and nothing is requested twice", (t) => {
  const { fetcher, requests, pass, answer } = start(t, NAMES);
  fetcher.background.start();
  fetcher.request(["map/0:1", "map/0:9"]);
  pass(100);
  assert.deepEqual(requests, [["map/0:0", "map/0:1"], ["map/0:9"]], "the first is on its way already");
  answer(1400, requests[0]);
  assert.equal(requests.length, 2, "the visitor still waits");
  answer(100, requests[1]);
  assert.deepEqual(requests[2], [...NAMES.slice(2, 9), "map/0:10"]);
  answer(100);
  assert.deepEqual(requests[3], NAMES.slice(11));
});

test("a request without an answer is repeated for a single map, and not for ever", (t) => {
  const { fetcher, requests, root, pass, answer } = start(t, NAMES);
  fetcher.background.start();
  for (let k = 0; k < 9; k++) pass(20000);
  assert.deepEqual(requests, [NAMES.slice(0, 2), ...Array(3).fill(["map/0:0"])]);
  answer(100);
  assert.deepEqual(requests.at(-1), ["map/0:1"], "the server is back");
  fetcher.destroy();
  pass(100000);
  assert.equal(requests.length, 5);
  assert.equal(root.dataset.complete, "false");
});

test("a document without a server has everything that it will have", (t) => {
  const { fetcher, root } = start(t, []);
  fetcher.background.start();
  assert.equal(root.dataset.complete, "true");
});
