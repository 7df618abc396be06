// What Python wrote, read by the viewer: MMVIZ_GOLDEN is a folder of containers and of what they must say.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { amounts, matrixAs, Planes, shares, weight } from "../../mmviz/viewer/js/attentionRows.js";
import { streamsOf } from "../../mmviz/viewer/js/pooledMap.js";
import { lut, short, three, valueOf } from "../../mmviz/viewer/js/codes.js";
import { decode } from "../../mmviz/viewer/js/data.js";
import { DESCRIPTION } from "../../mmviz/viewer/js/description.js";

const folder = process.env.MMVIZ_GOLDEN;
const read = (name) => JSON.parse(readFileSync(join(folder, name), "utf-8"));
const names = readdirSync(folder)
  .filter((name) => name.endsWith(".mmvw"))
  .map((name) => name.slice(0, -".mmvw".length));
assert.ok(names.length > 0);

const near = (found, expected, what) => {
  assert.equal(found.length, expected.length, what);
  found.forEach((value, k) => {
    const allowed = 2e-3 * Math.abs(expected[k]) + 1e-7;
    assert.ok(Math.abs(value - expected[k]) <= allowed, `${what}[${k}]: ${value}, not ${expected[k]}`);
  });
};

for (const name of names) {
  // As a file and as a part of a larger block of memory, where the arrays do not lie evenly.
  const bytes = new Uint8Array(readFileSync(join(folder, name + ".mmvw")));
  const shifted = new Uint8Array(bytes.length + 3).subarray(3);
  shifted.set(bytes);
  for (const [how, given] of [["", bytes], [", at an odd place", shifted]]) {
    test(`${name}: every value of every section${how}`, () => {
      const { header, section } = decode(given);
      const expected = read(name + ".json");
      assert.deepEqual(Object.keys(header.sections).sort(), Object.keys(expected.sections).sort());
      for (const [key, { shape, values }] of Object.entries(expected.sections)) {
        const found = section(key);
        assert.deepEqual(found.shape, shape, key);
        assert.deepEqual(Array.from(found), values, key);
      }
      assert.equal(section("codes/nowhere"), null);
      const { sections, ...rest } = header;
      assert.deepEqual(rest, expected.header);
      assert.deepEqual(Object.keys(header).sort(), Object.keys(DESCRIPTION.header).sort());
    });
  }

  test(`${name}: amounts, rows, columns and sums of every plane are Python's`, () => {
    const data = decode(bytes);
    const expected = read(name + ".json");
    const planes = new Planes();
    planes.take(data);
    for (const [id, plane] of Object.entries(expected.planes)) {
      const found = planes.get(id);
      const table = lut(data.header.sections["codes/" + id].decade);
      assert.deepEqual(Array.from(found.codes, (code) => table[code]), plane.values, id);
      assert.deepEqual(streamsOf(data.header, id), plane.streams);
      plane.values.forEach((value, at) => assert.equal(weight(found, Math.floor(at / found.keys), at % found.keys), value));
      for (const view of plane.views) {
        near(amounts(found, view.tokens, view.direction), view.amounts, `${id} ${view.direction}`);
        const modalities = data.header.streams[plane.streams[view.direction === "from" ? 1 : 0]].modality;
        const shared = shares(found, view.tokens, view.direction, modalities);
        for (const kind of ["sums", "perToken", "ratio"]) near(shared[kind], view[kind], `${id} ${kind}`);
      }
      const counts = shares(found, [0], "from", data.header.streams[plane.streams[1]].modality).counts;
      for (const which of ["sums", "perToken", "ratio"]) {
        near(Array.from(matrixAs(found, which, counts)), plane.matrix[which], `${id} matrix ${which}`);
      }
    }
  });
}

test("two and three digits are Python's", () => {
  for (const [amount, two, more] of read("digits.json")) {
    assert.equal(short(amount), two, String(amount));
    assert.equal(three(amount), more, String(amount));
  }
});

test("every code stands for the amount that Python gives it", () => {
  for (const [decade, values] of Object.entries(read("codes.json"))) {
    const table = lut(Number(decade));
    assert.equal(table.length, 64000);
    for (const [code, value] of values) {
      assert.equal(table[code], value, `${code} of decade ${decade}`);
      assert.equal(valueOf(code, Number(decade)), value);
    }
  }
});

test("what is no container is refused", () => {
  assert.throws(() => decode(new Uint8Array(40)));
  const other = new Uint8Array(readFileSync(join(folder, names[0] + ".mmvw")));
  other[4] = 9;
  assert.throws(() => decode(other), /version/);
});
