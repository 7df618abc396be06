// What a click, a key and a link do to the view, computed on paper.
import assert from "node:assert/strict";
import { test } from "node:test";

import { describeHead } from "../../mmviz/viewer/js/labels.js";
import { flowMethod, flowsOf, formatMapRef, isFlow, parseMapRef, streamsOf } from "../../mmviz/viewer/js/mapRef.js"; // prettier-ignore
import {
  choose, chosenStream, fromFragment, litStream, neighbourMap, overviewCell, pin, pinMore, toFragment, unpin, viewForStream, withMap,
  withOtherDirection,
} from "../../mmviz/viewer/js/viewState.js"; // prettier-ignore

const stream = (count) => ({ modality: Array(count).fill("text") });
// Layer 1 has two maps, of other streams.
const header = {
  streams: { all: stream(6), text: stream(3), image: stream(9) },
  maps: [
    { ref: "0", stack: "", layer: 0, queries: "all", keys: "all", heads: 2 },
    { ref: "1", stack: "", layer: 1, queries: "text", keys: "image", heads: 4 },
    { ref: "1.1", stack: "", layer: 1, queries: "all", keys: "all", heads: 3 },
  ],
  answer_tokens: { all: 0, text: 2, image: 0 },
  default_stack: "",
  flows: { rollout: ["all", "all"] },
  map_refs: ["0:0", "0:1", "0:mean", "1:0", "1:mean", "1.1:0", "1.1:mean", "rollout"],
};
const view = { map: "0:0", tokens: [0], versus: [], direction: "from", style: "spotlight", scale: "view" };
const crossView = { ...view, map: "1:0", tokens: [2] };

test("a MapRef names a map by its layer and its place there, not by its position in the list", () => {
  assert.deepEqual(parseMapRef(header, "1.1:2"), { mapIndex: 2, head: 2 });
  assert.deepEqual(parseMapRef(header, "1:mean"), { mapIndex: 1, head: "mean" });
  assert.deepEqual(["rollout", "relevance", "2:0", "1.2:0"].map((ref) => parseMapRef(header, ref)), Array(4).fill(null)); // prettier-ignore
  assert.deepEqual([formatMapRef(header, 2, "mean"), formatMapRef(header, 1, 3)], ["1.1:mean", "1:3"]);
  assert.deepEqual([streamsOf(header, "1:2"), streamsOf(header, "rollout")], [["text", "image"], ["all", "all"]]); // prettier-ignore
  assert.deepEqual([isFlow("rollout"), isFlow("1.1:0")], [true, false]);
});

test("the first click pins, the second compares, the third moves the second", () => {
  const first = pin(view, [3], false, [0]);
  assert.deepEqual(first, { view: { ...view, tokens: [3], versus: [] }, pinned: true });
  const second = pin(first.view, [4, 5], true, [0]);
  assert.deepEqual([second.view.tokens, second.view.versus, second.pinned], [[3], [4, 5], true]);
  const third = pin(second.view, [1], true, [0]);
  assert.deepEqual([third.view.tokens, third.view.versus], [[3], [1]]);
});

test("a click on a pin removes it, and the other one stays", () => {
  const both = { ...view, tokens: [3], versus: [4] };
  assert.deepEqual(pin(both, [4], true, [0]), { view: { ...both, versus: [] }, pinned: true });
  assert.deepEqual(pin(both, [3], true, [0]), { view: { ...both, tokens: [4], versus: [] }, pinned: true });
  assert.deepEqual(pin({ ...view, tokens: [3] }, [3], true, [0]), { view, pinned: false });
  assert.deepEqual(pin(view, [0], false, [0]), { view, pinned: true }, "the token of the initial view can be pinned");
});

test("tokens are chosen together with those that are pinned, and taken out again", () => {
  const first = pinMore(view, [3], false, [0]);
  assert.deepEqual(first, { view: { ...view, tokens: [3] }, pinned: true }, "the token of the initial view is not one");
  const both = pinMore({ ...first.view, versus: [5] }, [1, 2], true, [0]);
  assert.deepEqual([both.view.tokens, both.view.versus, both.pinned], [[1, 2, 3], [], true]); // prettier-ignore
  assert.deepEqual(pinMore(both.view, [2], true, [0]).view.tokens, [1, 3]);
  assert.deepEqual(pinMore(first.view, [3], true, [0]), { view, pinned: false });
});

test("escape unpins the second, then the first", () => {
  const next = unpin({ ...view, tokens: [3], versus: [4] }, [0]);
  assert.deepEqual([next.view.tokens, next.view.versus, next.pinned], [[3], [], true]);
  assert.deepEqual(unpin(next.view, [0]), { view, pinned: false });
});

test("the other direction keeps the tokens within one stream, and not between two", () => {
  const selfView = { ...view, tokens: [3], versus: [4] };
  assert.deepEqual(withOtherDirection(header, selfView), { ...selfView, direction: "to" });
  assert.deepEqual(withOtherDirection(header, withOtherDirection(header, selfView)), selfView);
  const reversed = withOtherDirection(header, crossView);
  assert.deepEqual(reversed, { ...crossView, direction: "to", tokens: [0] });
  assert.deepEqual([chosenStream(header, crossView), litStream(header, crossView)], ["text", "image"]);
  assert.deepEqual([chosenStream(header, reversed), litStream(header, reversed)], ["image", "text"]);
});

test("pointing at a token that is only a key turns the direction", () => {
  assert.equal(viewForStream(header, crossView, "text"), crossView);
  const { direction, tokens } = viewForStream(header, crossView, "image");
  assert.deepEqual([direction, tokens], ["to", []]);
});

test("another map keeps the tokens only where they are of the same stream", () => {
  assert.deepEqual(withMap(header, { ...view, tokens: [4] }, "1.1:1").tokens, [4]);
  assert.deepEqual(withMap(header, { ...view, tokens: [4], versus: [5] }, "1:0"), crossView, "of another, the one that answers");
});

test("arrow keys go through maps and heads, stay within the edges, and keep to the mean", () => {
  assert.equal(neighbourMap(header, "0:0", -1, 0), "0:0");
  assert.equal(neighbourMap(header, "0:0", 0, -1), "0:0");
  assert.equal(neighbourMap(header, "0:1", 0, 1), "0:mean");
  assert.equal(neighbourMap(header, "0:mean", 0, 1), "0:mean");
  assert.equal(neighbourMap(header, "0:mean", 1, 0), "1:mean");
  assert.equal(neighbourMap(header, "1:mean", 0, -1), "1:3");
  assert.equal(neighbourMap(header, "1:3", 1, 0), "1.1:mean", "there is no fourth head: the edge");
  assert.equal(neighbourMap(header, "1.1:2", 1, 0), "1.1:2");
  assert.equal(neighbourMap(header, "rollout", 1, 0), "1.1:mean");
  assert.deepEqual(overviewCell(header, "1.1:mean"), { mapIndex: 2, column: 3 });
});

test("a fragment leads back to the same view, and an odd one nowhere", () => {
  const group = { ...view, tokens: [1, 2, 5], versus: [0], direction: "to", style: "heat", scale: "map" };
  for (const each of [view, crossView, { ...view, map: "1.1:mean" }, group]) {
    assert.deepEqual(fromFragment(header, toFragment(each)), each);
  }
  for (const odd of ["", "map=9:9&tokens=0", "map=0:0", "map=0:0&tokens=6", "map=1:0&tokens=3", "map=0:0&tokens=-1",
    "map=0:0&tokens=1.5e9", "map=0:0&tokens=a", "map=0:0&tokens=0&versus=6"]) {
    assert.equal(fromFragment(header, odd), null, odd);
  } // prettier-ignore
  assert.equal(fromFragment(header, "map=1:0&tokens=8&direction=to").tokens[0], 8, "there are nine keys");
});

test("a flow names the stream that it ends at, and a stack may be called as a flow", () => {
  const joined = {
    ...header,
    flows: { rollout: ["all", "all"], "image/rollout": ["all", "image"], "a:b/c/relevance": ["all", "a:b/c"] },
    maps: [...header.maps, { ref: "rollout/0", stack: "rollout", layer: 0, queries: "all", keys: "all", heads: 1 }],
  };
  assert.deepEqual(["image/rollout", "a:b/c/relevance", "relevance", "rollout/0:mean", "5:2"].map(flowMethod), ["rollout", "relevance", "relevance", null, null]); // prettier-ignore
  assert.deepEqual(["image/rollout", "rollout/0:mean"].map(isFlow), [true, false]);
  assert.deepEqual([flowsOf(joined, "rollout"), flowsOf(joined, "relevance")], [["rollout", "image/rollout"], ["a:b/c/relevance"]]); // prettier-ignore
  assert.deepEqual(streamsOf(joined, "image/rollout"), ["all", "image"]);
  const say = (code, values) => code + (values ? JSON.stringify(values) : "");
  assert.equal(describeHead(joined, say, "image/rollout"), 'method-to{"method":"method-rollout","stream":"image"}');
  assert.equal(describeHead(joined, say, "a:b/c/relevance"), "method-relevance", "the only one of its method");
});

test("a tap chooses its token alone, a second one on it unpins, and only a comparing one adds it", () => {
  const pinned = { ...view, tokens: [3] };
  const chosen = (state, tokens) => choose(header, { view: pinned, pinned: true, isComparing: false, ...state }, "all", tokens, "tap", [0]);
  assert.deepEqual(chosen({}, [4]), { view: { ...view, tokens: [4] }, pinned: true });
  assert.deepEqual(chosen({}, [3]), { view, pinned: false });
  assert.deepEqual(chosen({ pinned: false }, [3]), { view: pinned, pinned: true });
  assert.deepEqual(chosen({ isComparing: true }, [4]), { view: { ...pinned, versus: [4] }, pinned: true });
  assert.deepEqual(chosen({ view: { ...pinned, versus: [4] } }, [3]), { view: pinned, pinned: true }, "out of a difference");
});
