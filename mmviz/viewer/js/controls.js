// The row above the panels: direction, method, style, scale, legend and readout.
import { AMOUNTS, DIFFERENCES } from "./colours.js";
import { roundedDown, twoDigits } from "./numberFormat.js";
import { flowMethod, flowsOf, isFlow, parseMapRef } from "./mapRef.js";
import { describeHead } from "./labels.js";
import { mapNotes } from "./mapNotes.js";
import { describeStack, lastMapOf, stackOf, stacksOf } from "./modelStacks.js";
import { make, makeButton, makeSwitch, press, setText } from "./dom.js";
import { NEARLY_SAME, sameness } from "./rowCorrelation.js";
import { describeUnit } from "./mapUnits.js";

/** The controls of a viewer. */
export class Controls {
  constructor(viewer) {
    this.viewer = viewer;
    const { say } = viewer;
    this.element = make("div", { class: "controls" });
    this.direction = makeSwitch(
      say("direction"),
      ["from", "to"].map((value) => [value, say("direction-" + value), say("direction-help")]),
      (value) => value !== viewer.view.direction && viewer.toggleDirection(),
    );
    this.direction.dataset.part = "direction";
    this.style = this.makeViewSwitch("style", ["spotlight", "heat"]);
    this.scale = this.makeViewSwitch("scale", ["view", "map"]);
    this.unpin = make("button", { type: "button", text: say("unpin"), title: say("unpin-help"), "data-part": "unpin" });
    this.unpin.addEventListener("click", () => viewer.unpin());
    this.notes = make("p", { class: "note", "data-part": "map-notes", hidden: true });
    this.readout = make("p", { class: "readout", "data-part": "readout" });
    this.same = make("p", { class: "note same", "data-part": "same" });
    this.readouts = make("div", { class: "readouts" }, this.readout, this.same);
    this.compare = makeButton(say, "compare", () => viewer.toggleComparing());
    this.announcement = make("p", { class: "announcement", role: "status", "data-part": "announcement" });
    this.waiting = make("p", { class: "waiting", role: "status", "data-part": "waiting", hidden: true });
    this.low = make("span");
    this.high = make("span");
    this.unit = make("span", { class: "unit" });
    this.bar = make("i", { class: "bar" });
    this.legend = make("div", { class: "legend", "data-part": "legend" }, this.low, this.bar, this.high, this.unit);
  }

  /** Returns a labelled switch that sets one value of the view. */
  makeViewSwitch(code, values) {
    const { viewer } = this;
    const { say } = viewer;
    const group = makeSwitch(
      say(code),
      values.map((value) => [value, say(`${code}-${value}`), say(`${code}-help`)]),
      (value) => viewer.setView({ ...viewer.view, [code]: value }),
    );
    group.dataset.part = code;
    return make(
      "div",
      { class: "named" },
      make("span", { class: "name", text: say(code), "aria-hidden": "true" }),
      group,
    );
  }

  build() {
    const { header, say } = this.viewer;
    const options = [["layer", say("method-layer"), say("method-layer-help")]];
    for (const flow of ["rollout", "relevance"].filter((method) => flowsOf(header, method).length)) {
      options.push([flow, say("method-" + flow), say(`method-${flow}-help`)]);
    }
    this.method = makeSwitch(say("method"), options, (value) =>
      this.viewer.chooseMap(value === "layer" ? this.lastLayerMap() : this.flowTo(value)),
    );
    this.method.dataset.part = "method";
    this.flowKeys = Object.keys(header.flows).length > options.length - 1 ? this.makeKeysSelect() : null;
    this.stack = stacksOf(header).length > 1 ? this.makeStackSelect() : null;
    this.methodName = make("span", { class: "name", "data-part": "method-name" });
    this.element.replaceChildren(
      make("div", { class: "line" }, this.direction, this.method, this.flowKeys?.element, this.stack?.element, this.methodName, this.style, this.scale),
      make("div", { class: "line" }, this.readouts, this.waiting, this.compare, this.unpin, this.legend),
      this.notes,
      this.announcement,
    );
    this.lastMap = null;
  }

  /** Returns the box that chooses the stack: `box`, and the labelled `element`. It opens the stack's last layer. */
  makeStackSelect() {
    const { header, say } = this.viewer;
    const options = stacksOf(header).map((stack, k) =>
      make("option", { value: k, text: describeStack(header, say, stack) }),
    );
    const box = make("select", { "data-part": "stack", title: say("stack-help") }, ...options);
    box.addEventListener("change", () => this.viewer.chooseMap(lastMapOf(header, stacksOf(header)[box.value])));
    const name = make("span", { class: "name", text: say("stack") });
    return { box, element: make("label", { class: "named stack" }, name, box) };
  }

  /** Returns the box that chooses the stream at which a flow ends: `box`, and the labelled `element`. */
  makeKeysSelect() {
    const { header, say } = this.viewer;
    const streams = [...new Set(Object.values(header.flows).map(([, keys]) => keys))];
    const options = streams.map((stream) => make("option", { value: stream, text: stream }));
    const box = make("select", { "data-part": "flow-keys", title: say("flow-keys-help") }, ...options);
    box.addEventListener("change", () => this.viewer.chooseMap(this.flowTo(flowMethod(this.viewer.view.map), box.value)));
    const element = make("label", { class: "named stack" }, make("span", { class: "name", text: say("flow-keys") }), box);
    return { box, element };
  }

  /** Returns the flow of a method to the tokens of `stream`, by default those that the flow before it led to. */
  flowTo(method, stream = this.flowKeys?.box.value) {
    const { header } = this.viewer;
    const flows = flowsOf(header, method);
    return flows.find((flow) => header.flows[flow][1] === stream) ?? flows[0];
  }

  /** Returns the layer and head that were shown last, to come back to from a flow. */
  lastLayerMap() {
    const { header } = this.viewer;
    return this.lastMap ?? lastMapOf(header, header.default_stack);
  }

  /** Shows the stack of the map, and what a reader must know about the map. */
  paintMap(frame) {
    const { header, say } = this.viewer;
    const flow = flowMethod(frame.mapRef);
    if (this.flowKeys) {
      const ends = flow ? flowsOf(header, flow).map((mapRef) => header.flows[mapRef][1]) : [];
      this.flowKeys.element.hidden = ends.length < 2;
      if (flow) this.flowKeys.box.value = header.flows[frame.mapRef][1];
      for (const option of this.flowKeys.box.options) option.hidden = option.disabled = !ends.includes(option.value);
    }
    if (this.stack) {
      this.stack.element.hidden = isFlow(frame.mapRef);
      this.stack.box.value = stacksOf(header).indexOf(stackOf(header, frame.mapRef));
    }
    const isNamed = flow && flowsOf(header, flow).length < 2; // by the switch beside it
    setText(this.methodName, isNamed ? "" : describeHead(header, say, frame.mapRef));
    const parts = parseMapRef(header, frame.mapRef);
    const notes = parts ? mapNotes(header, say, parts.mapIndex, frame) : [];
    setText(this.notes, notes.join(" "));
    // a line that came and went with the map would move the thumbnails from under the pointer
    this.notes.hidden = !notes.length && !header.maps.some(({ absorbed_by: absorbed, windows }) => absorbed || windows);
    this.notes.style.visibility = notes.length ? "visible" : "hidden";
  }

  paint(frame) {
    const { view, say } = this.viewer;
    if (!isFlow(view.map)) this.lastMap = view.map;
    press(this.direction, frame.direction);
    press(this.method, flowMethod(frame.mapRef) ?? "layer");
    press(this.style.lastChild, view.style);
    press(this.scale.lastChild, view.scale);
    this.scale.hidden = Boolean(frame.attnMap?.isPooled); // the largest weight is not known without all of them
    this.paintMap(frame);
    this.unpin.style.visibility = this.viewer.pinned ? "" : "hidden";
    this.compare.hidden = !this.viewer.isTouch || !this.viewer.pinned;
    this.compare.setAttribute("aria-pressed", String(this.viewer.isComparing));
    setText(this.readout, frame.attnMap ? this.viewer.describeFrame(frame) : "");
    const value = frame.attnMap && !frame.isDifference ? sameness(frame.attnMap, frame.direction) : null;
    setText(this.same, value !== null && value >= NEARLY_SAME ? say("same-map", { value: roundedDown(value) }) : "");
    if (!frame.amounts) return;
    const { largest, isDifference } = frame;
    setText(this.low, isDifference ? "−" + twoDigits(largest) : "0");
    setText(this.high, (isDifference ? "+" : "") + twoDigits(largest) + (frame.isBeyond ? "+" : ""));
    setText(this.unit, describeUnit(say, frame));
    const { gradient } = isDifference ? DIFFERENCES : AMOUNTS;
    if (this.gradient !== gradient) this.bar.style.background = this.gradient = gradient;
  }

  /** Says that weights are being fetched (`isBusy`) or cannot be had; an empty text hides the line. */
  wait(text, isBusy) {
    setText(this.waiting, text);
    this.waiting.hidden = !text;
    this.waiting.classList.toggle("busy", isBusy);
  }
}
