// A run along training: the map of each checkpoint, and one colour scale for all of them, computed on paper.
import assert from "node:assert/strict";
import { test } from "node:test";

import { allCheckpoints, AttentionMaps, largestOfMap } from "../../mmviz/viewer/js/attentionRows.js";
import { makeFrame } from "../../mmviz/viewer/js/drawnAmounts.js";
import { neighbourMap, overviewCell, overviewColumns } from "../../mmviz/viewer/js/viewState.js";

// Codes of decade -1: 1000 + r of decade -1 begin at 55000, so 0.1 * (1 + r / 1000).
const codeOf = (weight) => 55000 + Math.round(weight * 10000) - 1000;
const WEIGHTS = [
  [[0.25, 0.75], [0.5, 0.5]],
  [[0.9, 0.1], [0.4, 0.6]],
  [[0.7, 0.3], [0.2, 0.8]],
]; // prettier-ignore
const map = { ref: "0", stack: "", queries: "all", keys: "all", heads: 0, layer: 0 };
const header = {
  run: "paper",
  streams: { all: { modality: ["text", "text"], name: ["a", "b"], location: [[0, 1], [2, 3]] } }, // prettier-ignore
  timeline: { scenes: [0, 10, 20] },
  maps: [map, { ...map, ref: "1", layer: 1 }],
  default_stack: "",
  answer_tokens: { all: 0 },
  flows: {},
  text_pieces: {},
  map_refs: ["0:mean", "1:mean"],
  sections: Object.fromEntries(WEIGHTS.map((_, k) => [`codes/0:mean@${k}`, {}])),
};
const section = (name) => {
  const [id, checkpoint] = name.split("@");
  if (id !== "codes/0:mean") return null;
  return Object.assign(Uint16Array.from(WEIGHTS[Number(checkpoint)].flat().map(codeOf)), { shape: [2, 2], decade: -1 });
};
const attnMaps = new AttentionMaps();
attnMaps.addSections({ header, section });
const view = { map: "0:mean", tokens: [1], versus: [], direction: "from", style: "heat", scale: "view" };
const frameAt = (checkpoint, changes = {}) => {
  attnMaps.checkpoint = checkpoint;
  const state = { view: { ...view, ...changes }, hovered: null, previewed: null, pointed: null };
  return makeFrame(header, attnMaps, new Map(), state);
};

test("each checkpoint shows its own weights under the same MapRef", () => {
  WEIGHTS.forEach((weights, checkpoint) => {
    const { attnMap, amounts, mapRef } = frameAt(checkpoint);
    assert.deepEqual([attnMap.mapRef, mapRef], ["0:mean", "0:mean"]);
    assert.deepEqual(Array.from(amounts), weights[1]);
  });
  assert.equal(frameAt(1, { map: "1:mean" }).attnMap, null, "a map that has not arrived");
  attnMaps.checkpoint = null;
  assert.equal(attnMaps.get("0:mean"), null, "without a checkpoint there is no such map");
});

test("a scale ends at the same amount at every checkpoint", () => {
  for (const checkpoint of [0, 1, 2]) {
    assert.equal(frameAt(checkpoint).largest, 0.8, "of a row");
    assert.equal(frameAt(checkpoint, { tokens: [0] }).largest, 0.9);
    assert.equal(frameAt(checkpoint, { tokens: [0, 1] }).largest, 0.65, "of a group");
    assert.equal(frameAt(checkpoint, { direction: "to", tokens: [0] }).largest, 0.9);
    assert.equal(frameAt(checkpoint, { scale: "map" }).largest, 0.9);
    const difference = frameAt(checkpoint, { tokens: [0], versus: [1] });
    assert.ok(Math.abs(difference.largest - 0.5) < 1e-12, String(difference.largest));
    assert.equal(largestOfMap(difference.attnMap), 0.9);
    assert.equal(allCheckpoints(difference.attnMap).length, 3);
  }
});

test("a run without a timeline has no checkpoint", () => {
  const plainMaps = new AttentionMaps();
  const plainHeader = { ...header, sections: { "codes/0:0": {} } };
  const weights = section("codes/0:mean@1");
  plainMaps.addSections({ header: plainHeader, section: (name) => (name === "codes/0:0" ? weights : null) });
  assert.equal(plainMaps.checkpoint, null);
  assert.deepEqual(allCheckpoints(plainMaps.get("0:0")), [plainMaps.get("0:0")]);
  assert.equal(largestOfMap(plainMaps.get("0:0")), 0.9);
});

test("where only means are known, arrow keys find no head beside them", () => {
  assert.deepEqual(overviewColumns(header, 0), ["mean"]);
  assert.deepEqual(overviewCell(header, "1:mean"), { mapIndex: 1, column: 0 });
  assert.equal(neighbourMap(header, "0:mean", 1, 0), "1:mean");
  assert.equal(neighbourMap(header, "0:mean", 0, 1), "0:mean");
  assert.equal(neighbourMap(header, "1:mean", 1, -1), "1:mean");
});
