// Where arrow keys, Home and End lead among patches, moments and words, worked out on paper.
import assert from "node:assert/strict";
import { test } from "node:test";

import { nextInGrid, nextInLines, rowsOf } from "../../mmviz/viewer/js/rovingTabindex.js";

// 2 rows of 3 patches: 0 1 2 above 3 4 5.
const patches = [0, 1].flatMap((row) => [0, 1, 2].map((column) => [column, row, column + 1, row + 1]));
const path = (boxes, start, keys) => keys.reduce((at, key) => nextInGrid(boxes, at, key), start);

test("rows go from the top and from the left, whatever the order of the tokens", () => {
  assert.deepEqual(rowsOf(patches), [[0, 1, 2], [3, 4, 5]]); // prettier-ignore
  assert.deepEqual(rowsOf([...patches].reverse()), [[5, 4, 3], [2, 1, 0]]); // prettier-ignore
  const rounded = [[0, 0, 1, 1], [1, 1e-7, 2, 1], [0, 1, 1, 2]]; // prettier-ignore
  assert.deepEqual(rowsOf(rounded), [[0, 1], [2]]);
});

test("arrows move to the neighbour and stop at the edges", () => {
  assert.equal(path(patches, 0, ["ArrowRight", "ArrowDown"]), 4);
  assert.equal(path(patches, 4, ["ArrowLeft", "ArrowUp"]), 0);
  for (const [at, key] of [[2, "ArrowRight"], [3, "ArrowLeft"], [1, "ArrowUp"], [4, "ArrowDown"]])
    assert.equal(nextInGrid(patches, at, key), at); // prettier-ignore
});

test("Home and End lead to the ends of the row, with Ctrl to those of the grid", () => {
  assert.deepEqual([nextInGrid(patches, 4, "Home"), nextInGrid(patches, 4, "End")], [3, 5]);
  assert.deepEqual([nextInGrid(patches, 4, "Home", true), nextInGrid(patches, 1, "End", true)], [0, 5]);
});

test("other keys move nothing", () => {
  for (const key of ["Enter", " ", "a", "Tab", "PageDown", "Escape"]) assert.equal(nextInGrid(patches, 1, key), null);
});

test("down leads to the nearest patch of a row with fewer, and every patch can be reached", () => {
  const boxes = [...patches.slice(0, 3), [0, 1, 1.5, 2], [1.5, 1, 3, 2], [1.5, 1, 3, 2]]; // the last two overlap
  assert.deepEqual([0, 1, 2].map((at) => nextInGrid(boxes, at, "ArrowDown")), [3, 3, 4]); // prettier-ignore
  const reached = new Set([0]);
  for (const at of reached) {
    for (const key of ["ArrowRight", "ArrowLeft", "ArrowUp", "ArrowDown"]) reached.add(nextInGrid(boxes, at, key));
  }
  assert.equal(reached.size, boxes.length);
});

test("words are read on into the next line, in the direction of their script", () => {
  assert.equal(nextInLines(patches, 2, "ArrowRight", false, false), 3);
  assert.equal(nextInLines(patches, 3, "ArrowLeft", false, false), 2);
  assert.equal(nextInLines(patches, 5, "ArrowRight", false, false), 5);
  assert.deepEqual([nextInLines(patches, 1, "ArrowDown"), nextInLines(patches, 4, "Home")], [4, 3]);
  assert.deepEqual([nextInLines(patches, 4, "Home", true), nextInLines(patches, 1, "End", true)], [0, 5]);
  const hebrew = [[2, 0, 3, 1], [1, 0, 2, 1], [0, 0, 1, 1], [2, 1, 3, 2]]; // prettier-ignore
  assert.equal(nextInLines(hebrew, 2, "ArrowLeft", false, true), 3);
  assert.equal(nextInLines(hebrew, 3, "ArrowRight", false, true), 2);
  assert.deepEqual([nextInLines(hebrew, 1, "Home", false, true), nextInLines(hebrew, 1, "End", false, true)], [0, 2]);
});
