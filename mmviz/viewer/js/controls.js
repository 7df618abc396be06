// The row above the panels: direction, way of looking, style, scale, legend, and what is told in words.
import { AMOUNTS, DIFFERENCES } from "./colours.js";
import { short } from "./codes.js";
import { make, makeSwitch, press, setText } from "./dom.js";

/** The controls of a viewer. */
export class Controls {
  constructor(viewer) {
    this.viewer = viewer;
    const { say } = viewer;
    this.element = make("div", { class: "controls" });
    this.direction = makeSwitch(
      say("direction"),
      ["from", "to"].map((value) => [value, say("direction-" + value), say("direction-help")]),
      (value) => value !== viewer.view.direction && viewer.turn(),
    );
    this.direction.dataset.part = "direction";
    this.style = this.twoWay("style", ["spotlight", "heat"]);
    this.scale = this.twoWay("scale", ["view", "map"]);
    this.unpin = make("button", { type: "button", text: say("unpin"), title: say("unpin-help"), "data-part": "unpin" });
    this.unpin.addEventListener("click", () => viewer.unpin());
    this.readout = make("p", { class: "readout", "data-part": "readout" });
    this.told = make("p", { class: "told", role: "status", "data-part": "told" });
    this.waiting = make("p", { class: "waiting", role: "status", "data-part": "waiting", hidden: true });
    this.low = make("span");
    this.high = make("span");
    this.unit = make("span", { class: "unit" });
    this.bar = make("i", { class: "bar" });
    this.legend = make("div", { class: "legend", "data-part": "legend" }, this.low, this.bar, this.high, this.unit);
  }

  twoWay(code, values) {
    const { viewer } = this;
    const { say } = viewer;
    const group = makeSwitch(
      say(code),
      values.map((value) => [value, say(`${code}-${value}`), say(`${code}-help`)]),
      (value) => viewer.look({ ...viewer.view, [code]: value }),
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
    const options = [["layer", say("way-layer"), say("way-layer-help")]];
    for (const flow of Object.keys(header.flows)) options.push([flow, say("way-" + flow), say(`way-${flow}-help`)]);
    this.way = makeSwitch(say("way"), options, (value) =>
      this.viewer.choosePlane(value === "layer" ? this.layer() : value),
    );
    this.way.dataset.part = "way";
    this.wayName = make("span", { class: "name", "data-part": "way-name" });
    this.element.replaceChildren(
      make("div", { class: "line" }, this.direction, this.way, this.wayName, this.style, this.scale, this.legend),
      make("div", { class: "line" }, this.readout, this.waiting, this.unpin),
      this.told,
    );
  }

  /** The layer and head that were looked at last, to come back to from rollout or relevance. */
  layer() {
    return this.last ?? `${this.viewer.header.maps.length - 1}:mean`;
  }

  paint(frame) {
    const { view, say } = this.viewer;
    if (view.plane.includes(":")) this.last = view.plane;
    press(this.direction, frame.direction);
    press(this.way, frame.id.includes(":") ? "layer" : frame.id);
    press(this.style.lastChild, view.style);
    press(this.scale.lastChild, view.scale);
    this.scale.hidden = Boolean(frame.plane?.isLong); // the largest weight of a mean is not known without all of them
    setText(this.wayName, this.viewer.wayOf(frame.id));
    this.unpin.style.visibility = this.viewer.pinned ? "" : "hidden";
    setText(this.readout, frame.plane ? this.viewer.told(frame) : "");
    if (!frame.amounts) return;
    const { largest, isDifference } = frame;
    setText(this.low, isDifference ? "−" + short(largest) : "0");
    setText(this.high, (isDifference ? "+" : "") + short(largest) + (frame.isBeyond ? "+" : ""));
    setText(this.unit, say(isDifference ? "unit-difference" : frame.id === "relevance" ? "unit-relevance" : "unit"));
    const gradient = (isDifference ? DIFFERENCES : AMOUNTS).gradient;
    if (this.gradient !== gradient) this.bar.style.background = this.gradient = gradient;
  }

  /** Say that a plane is fetched, or is not to be had; nothing when it is there. */
  wait(words, isBusy) {
    setText(this.waiting, words);
    this.waiting.hidden = !words;
    this.waiting.classList.toggle("busy", isBusy);
  }
}
