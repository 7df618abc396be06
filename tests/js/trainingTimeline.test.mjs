// A run along training: which plane is shown at a moment, and one scale for all of them; worked out on paper.
import assert from "node:assert/strict";
import { test } from "node:test";

import { everyMoment, largestOfPlane, Planes } from "../../mmviz/viewer/js/attentionRows.js";
import { makeFrame } from "../../mmviz/viewer/js/frame.js";
import { cellOf, columns, stepped } from "../../mmviz/viewer/js/select.js";

// Codes of decade -1: 1000 + r of decade -1 begin at 55000, so 0.1 * (1 + r / 1000).
const tenths = (value) => 55000 + Math.round(value * 10000) - 1000;
const WEIGHTS = [
  [[0.25, 0.75], [0.5, 0.5]],
  [[0.9, 0.1], [0.4, 0.6]],
  [[0.7, 0.3], [0.2, 0.8]],
]; // prettier-ignore
const map = { queries: "all", keys: "all", heads: 0, layer: 0 };
const header = {
  run: "paper",
  streams: { all: { modality: ["text", "text"], name: ["a", "b"], where: [[0, 1], [2, 3]] } },
  maps: [map, { ...map, layer: 1 }],
  flows: {},
  words: {},
  planes: ["0:mean", "1:mean"],
  sections: Object.fromEntries(WEIGHTS.map((_, k) => [`codes/0:mean@${k}`, {}])),
};
const section = (name) => {
  const [kind, moment] = name.split("@");
  if (kind !== "codes/0:mean") return null;
  return Object.assign(Uint16Array.from(WEIGHTS[Number(moment)].flat().map(tenths)), { shape: [2, 2], decade: -1 });
};
const planes = new Planes();
planes.take({ header, section });
const view = { plane: "0:mean", tokens: [1], versus: [], direction: "from", style: "heat", scale: "view" };
const frameAt = (moment, changes = {}) => {
  planes.moment = moment;
  const state = { view: { ...view, ...changes }, hovered: null, previewed: null, pointed: null };
  return makeFrame(header, planes, new Map(), state);
};

test("the moment chooses the plane, which goes by the name of its map", () => {
  WEIGHTS.forEach((weights, moment) => {
    const { plane, amounts, id } = frameAt(moment);
    assert.deepEqual([plane.id, id], ["0:mean", "0:mean"]);
    assert.deepEqual(Array.from(amounts), weights[1]);
  });
  assert.equal(frameAt(1, { plane: "1:mean" }).plane, null, "that is not here");
  planes.moment = null;
  assert.equal(planes.get("0:mean"), null, "without a moment there is none of these");
});

test("a scale ends at the same amount at every moment", () => {
  for (const moment of [0, 1, 2]) {
    assert.equal(frameAt(moment).largest, 0.8, "of what this token gives");
    assert.equal(frameAt(moment, { tokens: [0] }).largest, 0.9);
    assert.equal(frameAt(moment, { tokens: [0, 1] }).largest, 0.65, "of a group");
    assert.equal(frameAt(moment, { direction: "to", tokens: [0] }).largest, 0.9);
    assert.equal(frameAt(moment, { scale: "map" }).largest, 0.9);
    const difference = frameAt(moment, { tokens: [0], versus: [1] });
    assert.ok(Math.abs(difference.largest - 0.5) < 1e-12, String(difference.largest));
    assert.equal(largestOfPlane(difference.plane), 0.9);
    assert.equal(everyMoment(difference.plane).length, 3);
  }
});

test("a run without moments is at no moment", () => {
  const one = new Planes();
  const plain = { ...header, sections: { "codes/0:0": {} } };
  one.take({ header: plain, section: (name) => (name === "codes/0:0" ? section("codes/0:mean@1") : null) });
  assert.equal(one.moment, null);
  assert.deepEqual(everyMoment(one.get("0:0")), [one.get("0:0")]);
  assert.equal(largestOfPlane(one.get("0:0")), 0.9);
});

test("where only means are known, there is nothing beside them to go to", () => {
  assert.deepEqual(columns(header, 0), ["mean"]);
  assert.deepEqual(cellOf(header, "1:mean"), { map: 1, column: 0 });
  assert.equal(stepped(header, "0:mean", 1, 0), "1:mean");
  assert.equal(stepped(header, "0:mean", 0, 1), "0:mean");
  assert.equal(stepped(header, "1:mean", 1, -1), "1:mean");
});
