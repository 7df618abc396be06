// The viewer as a widget of a notebook: anywidget gives it a model that Python shares, and an element to draw in.
import { decode } from "./binaryFormat.js";
import { make, setText } from "./dom.js";
import { toFragment } from "./viewState.js";
import { Viewer } from "./viewer.js";

const REPORT_DELAY = 250; // milliseconds: keys that are held down make one trip to Python

/** Returns what a model holds or a message brings (a DataView or an ArrayBuffer) as bytes, without a copy. */
export function bytesOf(buffer) {
  if (!ArrayBuffer.isView(buffer)) return new Uint8Array(buffer);
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}

/**
 * Shares the view of `viewer` with the trait `selection` of `model`, in both directions. Returns `report(view)`, for a
 * view that the viewer was given by hand, and `stop()`. While a report waits, what comes from Python is older.
 */
export function shareSelection(model, viewer) {
  let timer = null;
  const report = (view) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      timer = null;
      model.set("selection", view);
      model.save_changes();
    }, REPORT_DELAY);
  };
  const follow = () => {
    const selection = model.get("selection");
    if (timer === null && toFragment(selection) !== toFragment(viewer.view)) viewer.showView(selection);
  };
  model.on("change:selection", follow);
  follow(); // the run was encoded with the selection of that time
  const stop = () => {
    clearTimeout(timer);
    model.off("change:selection", follow);
  };
  return { report, stop };
}

/** Draws the viewer in `el`; anywidget calls it for every place that shows the model. Returns a function that removes it. */
export function notebookWidget({ model, el }) {
  const problem = make("p", { role: "alert", "data-part": "problem" });
  const place = make("div");
  // JupyterLab would take the viewer's keys for its own
  const host = make("div", { class: "mmviz-widget", "data-lm-suppress-shortcuts": "true" }, place, problem);
  el.append(host);
  const on = { view: (view) => shared.report(view), need: (names) => model.send({ need: names }) };
  const viewer = new Viewer(place, decode(bytesOf(model.get("data"))), on);
  const shared = shareSelection(model, viewer);
  const receive = (message, buffers) => {
    setText(problem, message.problem ?? "");
    if (message.sections) viewer.show(decode(bytesOf(buffers[0])));
  };
  model.on("msg:custom", receive);
  return () => {
    shared.stop();
    model.off("msg:custom", receive);
    viewer.destroy();
    host.remove();
  };
}
