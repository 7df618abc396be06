// The trait that a notebook's model shares with the viewer, with a model and a viewer that only remember.
import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { bytesOf, shareSelection } from "../../mmviz/viewer/js/notebookWidget.js";

const view = { map: "0:0", tokens: [0], versus: [], direction: "from", style: "spotlight", scale: "view" };

/** A model as anywidget passes it on: `change:selection` comes for every new value, whoever set it. */
function makeModel(selection) {
  const listeners = new Set();
  return {
    saved: [],
    get: () => selection,
    set(name, value) {
      selection = value;
      for (const listener of listeners) listener();
    },
    save_changes() {
      this.saved.push(selection);
    },
    on: (name, listener) => listeners.add(listener),
    off: (name, listener) => listeners.delete(listener),
    listeners,
  };
}

function makeViewer(shown) {
  return {
    view: shown,
    shown: 0,
    showView(next) {
      this.view = next;
      this.shown += 1;
    },
  };
}

test("bytes are found in whatever a notebook sends", () => {
  const { buffer } = Uint8Array.of(1, 2, 3, 4);
  assert.deepEqual(bytesOf(new DataView(buffer, 1, 2)), Uint8Array.of(2, 3));
  assert.deepEqual(bytesOf(new Uint8Array(buffer, 2)), Uint8Array.of(3, 4));
  assert.deepEqual(bytesOf(buffer), Uint8Array.of(1, 2, 3, 4));
});

test("a viewer that is drawn later opens with the selection of now, and follows Python", () => {
  const model = makeModel({ ...view, tokens: [4] });
  const viewer = makeViewer(view);
  shareSelection(model, viewer);
  assert.deepEqual(viewer.view.tokens, [4]);
  model.set("selection", { ...view, map: "1:mean" });
  assert.equal(viewer.view.map, "1:mean");
  model.set("selection", { ...view, map: "1:mean" });
  assert.equal(viewer.shown, 2, "an equal selection moves nothing");
});

test("of several views by hand the last goes to Python, and wins over what comes before it is sent", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const model = makeModel(view);
  const viewer = makeViewer(view);
  const shared = shareSelection(model, viewer);
  for (const token of [1, 2]) {
    viewer.view = { ...view, tokens: [token] };
    shared.report(viewer.view);
  }
  model.set("selection", { ...view, tokens: [9] });
  assert.deepEqual(viewer.view.tokens, [2]);
  mock.timers.tick(1000);
  assert.deepEqual(model.saved, [{ ...view, tokens: [2] }]);
  assert.equal(viewer.shown, 0);
  model.set("selection", { ...view, tokens: [9] });
  assert.deepEqual(viewer.view.tokens, [9]);
  mock.timers.reset();
});

test("what is stopped reports nothing and listens to nothing", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const model = makeModel(view);
  const shared = shareSelection(model, makeViewer(view));
  shared.report({ ...view, tokens: [3] });
  shared.stop();
  mock.timers.tick(1000);
  assert.deepEqual([model.saved.length, model.listeners.size], [0, 0]);
  mock.timers.reset();
});
