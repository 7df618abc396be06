// Runs of several stacks whose layers have the same numbers: what a map is called, and how one is reached from another.
import assert from "node:assert/strict";
import { test } from "node:test";

import { makeFrame } from "../../mmviz/viewer/js/drawnAmounts.js";
import { describeLayer, describeMap } from "../../mmviz/viewer/js/labels.js";
import { mapNotes } from "../../mmviz/viewer/js/mapNotes.js";
import { parseMapRef, parseSectionName, readMapRef } from "../../mmviz/viewer/js/mapRef.js";
import { describeStack, lastMapOf, mapsByStack, stackOf, stacksOf } from "../../mmviz/viewer/js/modelStacks.js";
import { fromFragment, neighbourMap, toFragment, withMap } from "../../mmviz/viewer/js/viewState.js";

const ODD = "a&b/c:1#%+@ä"; // ModuleDict takes any name
const map = (stack, layer, queries, keys, heads) => ({
  ref: `${stack}/${layer}`, stack, stack_name: `the ${stack}`, layer, queries, keys, heads, absorbed_by: "", windows: 0,
}); // prettier-ignore
const maps = [
  map("see", 0, "picture", "picture", 2),
  map(ODD, 0, "text", "text", 2),
  map("ask", 0, "text", "picture", 3),
  map(ODD, 1, "text", "text", 2),
  map("ask", 1, "text", "picture", 3),
];
const header = {
  maps,
  streams: {
    picture: { modality: ["special", "image", "image"] },
    text: { modality: ["special", "text", "text", "text"] },
  },
  answer_tokens: { picture: 0, text: 3 },
  default_stack: "ask",
  flows: {},
  text_pieces: {},
  map_refs: maps.flatMap(({ ref, heads }) => [...Array(heads).keys(), "mean"].map((head) => `${ref}:${head}`)),
};
const say = (code, values = {}) => [code, ...Object.values(values)].join(" ");
const view = { map: "ask/1:mean", tokens: [3], versus: [], direction: "from", style: "spotlight", scale: "view" };

test("layers of equal number are told apart by their stack, whatever its name holds", () => {
  assert.deepEqual(parseMapRef(header, `${ODD}/1:0`), { mapIndex: 3, head: 0 });
  assert.deepEqual(parseMapRef(header, "ask/1:mean"), { mapIndex: 4, head: "mean" });
  assert.equal(parseMapRef(header, "1:mean"), null);
  assert.deepEqual(parseSectionName(`codes/${ODD}/1:0`), { kind: "codes", ref: `${ODD}/1:0`, rest: "" });
  assert.deepEqual(parseSectionName("row/x/y/0:1/from/7"), { kind: "row", ref: "x/y/0:1", rest: "from/7" });
  assert.deepEqual(parseSectionName("window/0:1/0-5/2-9"), { kind: "window", ref: "0:1", rest: "0-5/2-9" });
});

test("stacks come in order of execution, and the maps of each together", () => {
  assert.deepEqual(stacksOf(header), ["see", ODD, "ask"]);
  assert.deepEqual(mapsByStack(header), [0, 1, 3, 2, 4]);
  assert.deepEqual([lastMapOf(header, ODD), lastMapOf(header, "see")], [`${ODD}/1:mean`, "see/0:mean"]);
  assert.deepEqual([stackOf(header, `${ODD}/0:1`), stackOf(header, "rollout")], [ODD, "ask"]);
  assert.equal(neighbourMap(header, "see/0:mean", 1, 0), `${ODD}/0:mean`);
  assert.equal(neighbourMap(header, `${ODD}/0:mean`, 1, 0), `${ODD}/1:mean`, "not the map that runs next");
  assert.equal(neighbourMap(header, "rollout", 1, 0), "ask/1:mean");
});

test("a map is named with its stack, and its layer within the stack", () => {
  assert.equal(describeMap(header, say, "ask/1:mean"), "cell-in-stack the ask cell-mean 2");
  assert.equal(describeLayer(header, 0), "1", "other stacks have a first layer, too");
  const alone = { ...header, maps: [map("ask", 0, "text", "text", 2)].map((each) => ({ ...each, ref: "0" })) };
  assert.equal(describeMap(alone, say, "0:1"), "cell-head 1 2", "one stack needs no name");
  assert.equal(describeStack(header, say, "ask"), "the ask: stack-streams modality-text modality-image");
  assert.equal(describeStack(header, say, "see"), "the see: stack-streams-own modality-image modality-image");
});

test("a link leads back to the same stack, and one without a stack to the default one", () => {
  for (const each of [view, { ...view, map: `${ODD}/1:1` }]) {
    assert.deepEqual(fromFragment(header, toFragment(each)), each);
  }
  assert.equal(fromFragment(header, "map=1:2&tokens=0").map, "ask/1:2");
  assert.equal(fromFragment(header, "map=see/1:mean&tokens=0"), null);
  const alone = { default_stack: "ask", map_refs: ["0:mean"] };
  assert.deepEqual([readMapRef(alone, "ask/0:mean"), readMapRef(alone, "see/0:mean")], ["0:mean", null]);
  assert.equal(readMapRef(header, undefined), null);
});

test("another stack starts from the token of its queries that answers", () => {
  assert.deepEqual(withMap(header, view, "see/0:mean").tokens, [0]);
  assert.deepEqual(withMap(header, { ...view, map: "see/0:mean", tokens: [2] }, `${ODD}/0:0`).tokens, [3]);
});

test("what takes a share of a row is said, and the windows", () => {
  const attnMap = {
    mapRef: "see/0:mean", queryStream: "picture", keyStream: "picture", queries: 3, keys: 3, from: Float32Array.from([0, 0, 0, 1, 0.5, 0, 0, 0.25, 0, 0, 0, 0.5]),
    values: [0], codes: new Uint16Array(9),
  }; // prettier-ignore
  const attnMaps = { get: () => attnMap };
  const frameOf = (change) => {
    const state = { view: { ...view, map: "see/0:mean", ...change }, hovered: null, previewed: null, pointed: null };
    return makeFrame(header, attnMaps, new Map(), state);
  };
  const notes = (fields, change) => {
    const changed = { ...header, maps: [{ ...maps[0], ...fields }, ...maps.slice(1)] };
    return mapNotes(changed, say, 0, frameOf({ tokens: [1], ...change }));
  };
  header.streams.picture.location = [null, [0], [1]];
  assert.deepEqual(notes({}), []);
  assert.deepEqual(notes({ absorbed_by: "sink" }), ["absorbed-sink 25"]);
  assert.deepEqual(notes({ absorbed_by: "mask" }, { tokens: [1, 2] }), ["absorbed-mask 38"]);
  assert.deepEqual(notes({ absorbed_by: "sink", windows: 4 }, { direction: "to" }), ["absorbed-sink-mean 25", "windows 4"]);
});
