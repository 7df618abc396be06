// The unit beside a number: rows of attention and rollout are shares, relevance and columns are not.
import assert from "node:assert/strict";
import { test } from "node:test";

import { modalityTotals, normalizedMatrix } from "../../mmviz/viewer/js/attentionRows.js";
import { percent, roundedDown } from "../../mmviz/viewer/js/numberFormat.js";
import { correlation, sameness } from "../../mmviz/viewer/js/rowCorrelation.js";
import { describeUnit, unitOf } from "../../mmviz/viewer/js/mapUnits.js";

const say = (code, { unit } = {}) => (unit ? `${code}(${unit})` : code);
const mapOf = (mapRef, rows, keys = 4) => ({ mapRef, queries: rows.length / 4, keys, from: Float32Array.from(rows) });
const HALF = [0.25, 0.25, 0, 0, 0.5, 0.5, 0, 0]; // the first row sums to a half
const WHOLE = [0.5, 0.5, 0, 0, 0.2, 0.3, 0.1, 0.4];

test("the legend says what rows sum to, and nothing of relevance but that it is relative", () => {
  const legend = (mapRef, rows, isDifference = false) => describeUnit(say, { mapRef, attnMap: mapOf(mapRef, rows), isDifference });
  assert.equal(legend("0:1", WHOLE), "attention-rows-1(unit-attention)");
  assert.equal(legend("0:mean", HALF), "attention-rows-below-1(unit-attention)");
  assert.equal(legend("rollout", WHOLE), "rollout-rows-1(unit-rollout)");
  assert.equal(legend("picture/rollout", HALF), "rollout-rows-below-1(unit-rollout)");
  assert.equal(legend("relevance", WHOLE), "unit-relative(unit-relevance)");
  assert.equal(legend("relevance", WHOLE, true), "unit-difference(unit-relevance)");
  assert.equal(unitOf("text/relevance"), "relevance");
});

test("uniform attention has the ratio 1 in rows and in columns, also between streams of other lengths", () => {
  // 2 queries, 8 keys of one modality: each weight is 1/8
  const attnMap = { mapRef: "0:0", queries: 2, keys: 8, from: Float32Array.of(1, 0, 0, 0, 1, 0, 0, 0), to: new Float32Array(32) };
  for (let key = 0; key < 8; key++) attnMap.to[key * 4 + 1] = 2 / 8;
  assert.equal(modalityTotals(attnMap, [0], "from", Array(8).fill("image")).ratio[0], 1);
  assert.equal(modalityTotals(attnMap, [3], "to", Array(2).fill("text")).ratio[1], 1);
});

test("relevance is compared with its own mean, whatever its rows sum to", () => {
  const matrix = Float32Array.of(3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
  const attnMap = { mapRef: "relevance", queries: 1, keys: 4, from: Float32Array.of(3, 1, 0, 0), matrix };
  const modalities = ["image", "image", "text", "text"];
  assert.deepEqual(modalityTotals(attnMap, [0], "from", modalities).ratio, [1.5, 0.5, 0, 0]); // means 1.5 and 0.5, of 1
  assert.deepEqual(Array.from(normalizedMatrix(attnMap, "ratio", [2, 2, 0, 0])).slice(0, 2), [1.5, 0.5]);
});

test("rows that are alike are said to be", () => {
  assert.equal(correlation([1, 2, 3], [2, 4, 6]), 1);
  assert.equal(correlation([1, 2, 3], [3, 2, 1]), -1);
  assert.equal(correlation([1, 1, 1], [3, 2, 1]), null);
  const codes = Uint16Array.of(0, 1, 2, 0, 2, 4); // the second row is twice the first
  const attnMap = { codes, values: [0, 1, 2, 3, 4], queries: 2, keys: 3 };
  assert.ok(Math.abs(sameness(attnMap, "from") - 1) < 1e-12);
  assert.equal(sameness({ ...attnMap, codes: Uint16Array.of(0, 1, 2, 2, 1, 0) }, "from"), null, "their mean is constant");
  assert.equal(sameness({ isPooled: true }, "from"), null);
});

test("a share has one decimal, and a correlation of 1 is exact", () => {
  assert.deepEqual([1, 0, 0.3333].map(percent), ["100.0%", "0.0%", "33.3%"]);
  assert.deepEqual([1, 0.9999, 0.29, -0.999].map(roundedDown), ["1.00", "0.99", "0.29", "-0.99"]);
});
