// The modality matrix: rows ask, columns are asked.
import { countModalities, everyMoment, MODALITIES, matrixAs } from "./attentionRows.js";
import { AMOUNTS, DIFFERENCES, MODALITY_COLOURS, step } from "./colours.js";
import { short } from "./codes.js";
import { make, makeSwitch, press, setText } from "./dom.js";

const WAYS = ["sums", "per-token", "ratio"];
const RATIO_LIMIT = 8;

/** A cell for each pair of modalities; pointing at one asks with all tokens of its row, or of its column. */
export class ModalitiesPanel {
  constructor(viewer) {
    this.viewer = viewer;
    this.element = make("section", {
      class: "panel",
      "data-panel": "modalities",
      "aria-label": viewer.say("modalities"),
    });
    this.which = "sums";
  }

  build() {
    this.of = null;
  }

  resize() {}

  cellsFor(plane) {
    const { header, say } = this.viewer;
    const [queries, keys] = [plane.queryStream, plane.keyStream].map((name) => header.streams[name].modality);
    this.keyCounts = countModalities(keys);
    const here = (all) => MODALITIES.filter((modality) => all.includes(modality));
    const options = WAYS.map((way) => [way, say("count-" + way), say(`share-${way === "sums" ? "sum" : way}-help`)]);
    this.switch = makeSwitch(say("counted"), options, (way) => {
      this.which = way;
      this.of = null;
      this.viewer.repaint();
    });
    press(this.switch, this.which);
    const name = (modality) =>
      make("th", { style: `--modality:${MODALITY_COLOURS[modality]}` }, say("modality-" + modality));
    const grid = make("table", { class: "grid" });
    grid.append(make("tr", {}, make("td", { class: "corner", text: say("asks-asked") }), ...here(keys).map(name)));
    this.cells = here(queries).map((asking) => {
      const row = make("tr", {}, name(asking));
      const cells = here(keys).map((asked) => {
        const button = make("button", { type: "button", class: "cell" });
        const groups = { from: tokensOf(queries, asking), to: tokensOf(keys, asked) };
        const streams = { from: plane.queryStream, to: plane.keyStream };
        const pointed = () => {
          const { direction } = this.viewer.view;
          return [streams[direction], groups[direction]];
        };
        button.addEventListener("pointerenter", () => this.viewer.drag(...pointed()));
        button.addEventListener("pointerleave", () => this.viewer.hover(null));
        button.addEventListener("focus", () => button.matches(":focus-visible") && this.viewer.drag(...pointed()));
        button.addEventListener("blur", () => this.viewer.hover(null));
        button.addEventListener("click", () => this.viewer.click(...pointed()));
        row.append(make("td", {}, button));
        return { asked, button, names: [say("modality-" + asking), say("modality-" + asked)] };
      });
      grid.append(row);
      return { asking, cells };
    });
    // as many rows for every map, or what lies below moves away under the pointer
    const most = Math.max(...header.maps.map((map) => here(header.streams[map.queries].modality).length));
    for (let row = this.cells.length; row < most; row++) {
      grid.append(make("tr", { class: "empty-row" }, make("td", {}, make("button", { class: "cell", text: "0" }))));
    }
    this.note = make("p", { class: "note" });
    const heading = make("h3", { text: say("modalities"), title: say("modalities-help") });
    this.element.replaceChildren(make("div", { class: "line" }, heading, this.switch), grid, this.note);
  }

  paint(frame) {
    if (!frame.plane || this.of === frame.plane) return;
    const isOther =
      !this.of || this.of.queryStream !== frame.plane.queryStream || this.of.keyStream !== frame.plane.keyStream;
    if (isOther || !this.of) this.cellsFor(frame.plane);
    this.of = frame.plane;
    const values = matrixAs(frame.plane, this.which, this.keyCounts);
    const isRatio = this.which === "ratio";
    const all = everyMoment(frame.plane).flatMap((one) => [...matrixAs(one, this.which, this.keyCounts)]);
    const most = this.which === "sums" ? 1 : Math.max(...all) || 1;
    for (const { asking, cells } of this.cells) {
      for (const { asked, button, names } of cells) {
        const value = values[MODALITIES.indexOf(asking) * 4 + MODALITIES.indexOf(asked)];
        const at = isRatio
          ? step(Math.log2(value || 1 / RATIO_LIMIT), Math.log2(RATIO_LIMIT), true)
          : step(value, most, false);
        const table = isRatio ? DIFFERENCES : AMOUNTS;
        setText(button, short(value));
        button.style.background = table.css[at];
        button.style.color = table.ink[at];
        button.setAttribute(
          "aria-label",
          this.viewer.say("cell", { from: names[0], to: names[1], amount: short(value) }),
        );
      }
    }
    const { say } = this.viewer;
    setText(this.note, isRatio ? say("scale-ratio") : say("scale-cells", { largest: short(most) }));
  }
}

function tokensOf(modalities, wanted) {
  return modalities.flatMap((modality, token) => (modality === wanted ? [token] : []));
}
