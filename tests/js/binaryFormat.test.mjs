// Containers that Python wrote, read by the viewer. MMVIZ_GOLDEN is a folder of containers and of their expected content.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { amounts, AttentionMaps, modalityTotals, normalizedMatrix, weight } from "../../mmviz/viewer/js/attentionRows.js";
import { decode } from "../../mmviz/viewer/js/binaryFormat.js";
import { FORMAT_SCHEMA } from "../../mmviz/viewer/js/formatSchema.js";
import { streamsOf } from "../../mmviz/viewer/js/mapRef.js";
import { threeDigits, twoDigits } from "../../mmviz/viewer/js/numberFormat.js";
import { dequantizationTable, dequantize } from "../../mmviz/viewer/js/quantization.js";

const folder = process.env.MMVIZ_GOLDEN;
const read = (name) => JSON.parse(readFileSync(join(folder, name), "utf-8"));
const names = readdirSync(folder)
  .filter((name) => name.endsWith(".mmvw"))
  .map((name) => name.slice(0, -".mmvw".length));
assert.ok(names.length > 0);

const assertNear = (actual, expected, label) => {
  assert.equal(actual.length, expected.length, label);
  actual.forEach((value, k) => {
    const tolerance = 2e-3 * Math.abs(expected[k]) + 1e-7;
    assert.ok(Math.abs(value - expected[k]) <= tolerance, `${label}[${k}]: ${value}, not ${expected[k]}`);
  });
};

for (const name of names) {
  // as a file, and as a part of a larger block of memory, where the arrays are not aligned
  const bytes = new Uint8Array(readFileSync(join(folder, name + ".mmvw")));
  const shifted = new Uint8Array(bytes.length + 3).subarray(3);
  shifted.set(bytes);
  for (const [alignment, container] of [["", bytes], [", unaligned", shifted]]) {
    test(`${name}: every value of every section${alignment}`, () => {
      const { header, section } = decode(container);
      const expected = read(name + ".json");
      assert.deepEqual(Object.keys(header.sections).sort(), Object.keys(expected.sections).sort());
      for (const [key, { shape, values }] of Object.entries(expected.sections)) {
        const array = section(key);
        assert.deepEqual(array.shape, shape, key);
        assert.deepEqual(Array.from(array), values, key);
      }
      assert.equal(section("codes/nowhere"), null);
      const { sections, ...rest } = header;
      assert.deepEqual(rest, expected.header);
      assert.deepEqual(Object.keys(header).sort(), Object.keys(FORMAT_SCHEMA.header).sort());
    });
  } // prettier-ignore

  test(`${name}: amounts, rows, columns and sums of every map are Python's`, () => {
    const data = decode(bytes);
    const expected = read(name + ".json");
    const attnMaps = new AttentionMaps();
    attnMaps.addSections(data);
    for (const [mapRef, { values, streams, views, matrix }] of Object.entries(expected.maps)) {
      const attnMap = attnMaps.get(mapRef);
      const table = dequantizationTable(data.header.sections["codes/" + mapRef].decade);
      assert.deepEqual(Array.from(attnMap.codes, (code) => table[code]), values, mapRef); // prettier-ignore
      assert.deepEqual(streamsOf(data.header, mapRef), streams);
      const { keys } = attnMap;
      values.forEach((value, at) => assert.equal(weight(attnMap, Math.floor(at / keys), at % keys), value));
      for (const view of views) {
        assertNear(amounts(attnMap, view.tokens, view.direction), view.amounts, `${mapRef} ${view.direction}`);
        const modalities = data.header.streams[streams[view.direction === "from" ? 1 : 0]].modality;
        const totals = modalityTotals(attnMap, view.tokens, view.direction, modalities);
        for (const measure of ["sums", "perToken", "ratio"]) {
          assertNear(totals[measure], view[measure], `${mapRef} ${measure}`);
        }
      }
      const { counts } = modalityTotals(attnMap, [0], "from", data.header.streams[streams[1]].modality);
      for (const measure of ["sums", "per-token", "ratio"]) {
        const normalized = Array.from(normalizedMatrix(attnMap, measure, counts));
        assertNear(normalized, matrix[measure], `${mapRef} matrix ${measure}`);
      }
    }
  });
}

test("two and three digits are Python's", () => {
  for (const [amount, two, three] of read("digits.json")) {
    assert.equal(twoDigits(amount), two, String(amount));
    assert.equal(threeDigits(amount), three, String(amount));
  }
});

test("every code stands for the amount that Python gives it", () => {
  for (const [decade, pairs] of Object.entries(read("codes.json"))) {
    const table = dequantizationTable(Number(decade));
    assert.equal(table.length, 64000);
    for (const [code, amount] of pairs) {
      assert.equal(table[code], amount, `${code} of decade ${decade}`);
      assert.equal(dequantize(code, Number(decade)), amount);
    }
  }
});

test("bytes that are no container of this version are refused", () => {
  assert.throws(() => decode(new Uint8Array(40)));
  const otherVersion = new Uint8Array(readFileSync(join(folder, names[0] + ".mmvw")));
  otherVersion[4] = 9;
  assert.throws(() => decode(otherVersion), /version/);
});
