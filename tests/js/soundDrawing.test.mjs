// The labels of the time axis stand side by side at every width.
import assert from "node:assert/strict";
import { test } from "node:test";

import { timeLabels } from "../../mmviz/viewer/js/soundDrawing.js";

const measure = (text) => 8 * text.length;

test("labels never touch, and none leaves the axis", () => {
  for (const seconds of [0.31, 0.6, 1.1, 1.8, 2.76, 3, 29.9, 400]) {
    for (let width = 160; width < 1200; width += 7) {
      const labels = timeLabels(seconds, 40, width, measure).filter(({ text }) => text);
      labels.forEach(({ time, text, middle }, k) => {
        assert.ok(time <= seconds + 1e-6 && middle + measure(text) / 2 <= width + 1e-9);
        if (!k) return;
        const before = labels[k - 1];
        assert.ok(middle - before.middle >= (measure(text) + measure(before.text)) / 2 + 5, `${seconds} s, ${width} px: ${text}`);
      });
      assert.equal(labels[0].text, "0 s");
    }
  }
});

test("a wide axis has more labels, each at its time", () => {
  const [narrow, wide] = [200, 800].map((width) => timeLabels(3, 40, width, measure));
  assert.deepEqual(narrow.map(({ text }) => text), ["0 s", "1 s", "2 s", "3 s"]);
  assert.equal(wide[2].middle, 40 + (2 * wide[1].time * 760) / 3);
  assert.ok(wide.length > 2 * narrow.length);
});
