// What a click, a key and a link do to what is looked at: answers worked out on paper.
import assert from "node:assert/strict";
import { test } from "node:test";

import {
  chosenStream, facing, fromFragment, litStream, pin, stepped, toFragment, turned, unpin, withPlane,
} from "../../mmviz/viewer/js/select.js";

const stream = (count) => ({ modality: Array(count).fill("text") });
const header = {
  streams: { all: stream(6), text: stream(3), image: stream(9) },
  maps: [
    { queries: "all", keys: "all", heads: 2 },
    { queries: "text", keys: "image", heads: 4 },
    { queries: "all", keys: "all", heads: 3 },
  ],
  flows: { rollout: ["all", "all"] },
  planes: ["0:0", "0:1", "0:mean", "1:0", "1:mean", "2:0", "2:mean", "rollout"],
};
const view = { plane: "0:0", tokens: [0], versus: [], direction: "from", style: "spotlight", scale: "view" };
const cross = { ...view, plane: "1:0", tokens: [2] };

test("the first click pins, the second compares, the third moves the second", () => {
  const first = pin(view, [3], false, [0]);
  assert.deepEqual(first, { view: { ...view, tokens: [3], versus: [] }, pinned: true });
  const second = pin(first.view, [4, 5], true, [0]);
  assert.deepEqual([second.view.tokens, second.view.versus, second.pinned], [[3], [4, 5], true]);
  const third = pin(second.view, [1], true, [0]);
  assert.deepEqual([third.view.tokens, third.view.versus], [[3], [1]]);
});

test("a click on a pin takes it away, and the other one stays", () => {
  const both = { ...view, tokens: [3], versus: [4] };
  assert.deepEqual(pin(both, [4], true, [0]), { view: { ...both, versus: [] }, pinned: true });
  assert.deepEqual(pin(both, [3], true, [0]), { view: { ...both, tokens: [4], versus: [] }, pinned: true });
  assert.deepEqual(pin({ ...view, tokens: [3] }, [3], true, [0]), { view, pinned: false });
  assert.deepEqual(pin(view, [0], false, [0]), { view, pinned: true }, "the token that rests there can be pinned");
});

test("escape unpins the second, then the first", () => {
  const one = unpin({ ...view, tokens: [3], versus: [4] }, [0]);
  assert.deepEqual([one.view.tokens, one.view.versus, one.pinned], [[3], [], true]);
  assert.deepEqual(unpin(one.view, [0]), { view, pinned: false });
});

test("turning keeps the tokens within one stream, and not between two", () => {
  const self = { ...view, tokens: [3], versus: [4] };
  assert.deepEqual(turned(header, self), { ...self, direction: "to" });
  assert.deepEqual(turned(header, turned(header, self)), self);
  assert.deepEqual(turned(header, cross), { ...cross, direction: "to", tokens: [0] });
  assert.deepEqual([chosenStream(header, cross), litStream(header, cross)], ["text", "image"]);
  assert.deepEqual([chosenStream(header, turned(header, cross)), litStream(header, turned(header, cross))], ["image", "text"]);
});

test("pointing at a token that is only asked turns the direction", () => {
  assert.equal(facing(header, cross, "text"), cross);
  const faced = facing(header, cross, "image");
  assert.deepEqual([faced.direction, faced.tokens], ["to", []]);
});

test("another plane keeps the tokens only where they are of the same stream", () => {
  assert.deepEqual(withPlane(header, { ...view, tokens: [4] }, "2:1").tokens, [4]);
  assert.deepEqual(withPlane(header, { ...view, tokens: [4], versus: [5] }, "1:0"), { ...view, plane: "1:0" });
});

test("steps go through layers and heads, stay within the edges, and keep to the mean", () => {
  assert.equal(stepped(header, "0:0", -1, 0), "0:0");
  assert.equal(stepped(header, "0:0", 0, -1), "0:0");
  assert.equal(stepped(header, "0:1", 0, 1), "0:mean");
  assert.equal(stepped(header, "0:mean", 0, 1), "0:mean");
  assert.equal(stepped(header, "0:mean", 1, 0), "1:mean");
  assert.equal(stepped(header, "1:mean", 0, -1), "1:3");
  assert.equal(stepped(header, "1:3", 1, 0), "2:mean", "there is no fourth head: the edge");
  assert.equal(stepped(header, "2:2", 1, 0), "2:2");
  assert.equal(stepped(header, "rollout", 1, 0), "2:mean");
});

test("a fragment leads back to the same view, and an odd one nowhere", () => {
  for (const one of [view, cross, { ...view, tokens: [1, 2, 5], versus: [0], direction: "to", style: "heat", scale: "map" }]) {
    assert.deepEqual(fromFragment(header, toFragment(one)), one);
  }
  for (const odd of ["", "plane=9:9&tokens=0", "plane=0:0", "plane=0:0&tokens=6", "plane=1:0&tokens=3", "plane=0:0&tokens=-1",
    "plane=0:0&tokens=1.5e9", "plane=0:0&tokens=a", "plane=0:0&tokens=0&versus=6"]) {
    assert.equal(fromFragment(header, odd), null, odd);
  }
  assert.equal(fromFragment(header, "plane=1:0&tokens=8&direction=to").tokens[0], 8, "nine tokens are asked");
});
