// Long runs of tokens that are alike are shown as one; all others stay as they are.
import assert from "node:assert/strict";
import { test } from "node:test";

import { foldName, foldRuns, meanAmount } from "../../mmviz/viewer/js/foldedTokens.js";
import { tokensBetween, targetTokens } from "../../mmviz/viewer/js/tokenPointer.js";

const range = (first, last) => Array.from({ length: last - first + 1 }, (_, k) => first + k);
const say = (code, values) => JSON.stringify([code, values]);

test("eight neighbours of one name are folded, seven are not", () => {
  const names = ["a", ...Array(8).fill("pad"), "b", ...Array(7).fill("pad")];
  assert.deepEqual(foldRuns(range(0, 16), names), [[0], range(1, 8), [9], ...range(10, 16).map((k) => [k])]);
});

test("tokens of one name with others between them are not neighbours", () => {
  const names = Array(20).fill("x");
  assert.deepEqual(foldRuns(range(0, 19).filter((k) => k !== 4), names), [[0], [1], [2], [3], range(5, 19)]);
});

test("numbers are folded whatever they are, and apart from words", () => {
  const names = ["user", ...range(1, 12).map(String), ...Array(9).fill("<pad>")];
  assert.deepEqual(foldRuns(range(0, 21), names), [[0], range(1, 12), range(13, 21)]);
});

test("a run is called by its number of tokens", () => {
  const names = [...Array(1299).fill("padding"), ...Array(9).fill("[PAD]"), ...Array(9).fill("<reg>"), ...range(0, 8).map(String)];
  const called = (first, last) => JSON.parse(foldName(say, names, range(first, last), "en"));
  assert.deepEqual(called(0, 1298), ["folded-padding", { count: "1,299" }]);
  assert.deepEqual(called(1299, 1307), ["folded-padding", { count: "9" }]);
  assert.deepEqual(called(1308, 1316), ["folded", { count: "9", name: "<reg>" }]);
  assert.deepEqual(called(1317, 1325), ["folded-numbers", { count: "9", first: "0", last: "8" }]);
});

test("a run has the mean amount, and all its tokens", () => {
  assert.equal(meanAmount([0, 0.25, 0.5, 0.75], [1, 2, 3]), 0.5);
  assert.deepEqual(targetTokens({ stream: "s", token: 2, last: 4 }), [2, 3, 4]);
  assert.deepEqual(targetTokens({ stream: "s", token: 2 }), [2]);
  assert.deepEqual(tokensBetween({ token: 1, last: 3 }, { token: 5 }), [1, 2, 3, 4, 5]);
  assert.deepEqual(tokensBetween({ token: 6 }, { token: 1, last: 3 }), [1, 2, 3, 4, 5, 6]);
});
