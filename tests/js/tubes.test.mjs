// A tube of a video is drawn, pointed at and outlined in each of its frames.
import assert from "node:assert/strict";
import { test } from "node:test";

import { boxesOf } from "../../mmviz/viewer/js/patchPlaces.js";

test("a tube has one box in each frame, and a patch one", () => {
  const stream = {
    modality: ["image", "image", "image", "text"],
    location: [[0, 0, 10, 8, 0.5, 1.5, 20, 0, 0, 30], [1, 2, 3, 4], null, [0, 1]],
  };
  assert.deepEqual(boxesOf(stream), [
    { token: 0, box: [0, 0, 10, 8] },
    { token: 0, box: [20, 0, 30, 8], isLater: true },
    { token: 0, box: [0, 30, 10, 38], isLater: true },
    { token: 1, box: [1, 2, 3, 4] },
  ]);
});
