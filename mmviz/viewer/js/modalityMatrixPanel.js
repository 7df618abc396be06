// The modality matrix: a row for the queries of each modality, a column for its keys.
import { allCheckpoints, countModalities, MODALITIES, normalizedMatrix } from "./attentionRows.js";
import { AMOUNTS, colourIndex, DIFFERENCES, MODALITY_COLOURS } from "./colours.js";
import { twoDigits } from "./numberFormat.js";
import { make, makeSwitch, press, setText } from "./dom.js";
import { nextInGrid, useRovingTabindex } from "./rovingTabindex.js";
import { nameOfUnit, unitOf } from "./mapUnits.js";

const MEASURES = ["sums", "per-token", "ratio"];
const MAX_RATIO = 8; // where the log scale of ratios to uniform attention ends

/** The panel `modality-matrix`. Pointing at a cell chooses all tokens of its row ("from") or of its column ("to"). */
export class ModalityMatrixPanel {
  constructor(viewer) {
    this.viewer = viewer;
    this.element = make("section", {
      class: "panel",
      "data-panel": "modality-matrix",
      "aria-label": viewer.say("modality-matrix"),
    });
    this.measure = "sums";
  }

  build() {
    this.attnMap = null;
  }

  resize() {}

  /** Lays out the cells for the streams of a map. */
  buildCells(attnMap) {
    const { header, say } = this.viewer;
    const [queries, keys] = [attnMap.queryStream, attnMap.keyStream].map((name) => header.streams[name].modality);
    this.keyCounts = countModalities(keys);
    const presentIn = (modalities) => MODALITIES.filter((modality) => modalities.includes(modality));
    this.unit = unitOf(attnMap.mapRef);
    const codeOf = (measure) => (measure === "ratio" && this.unit === "relevance" ? "ratio-mean" : measure);
    const options = MEASURES.map((measure) => [
      measure,
      say("count-" + codeOf(measure)),
      say(`modality-${measure === "sums" ? "sum" : codeOf(measure)}-help`),
    ]);
    this.switch = makeSwitch(say("counted"), options, (measure) => {
      this.measure = measure;
      this.attnMap = null;
      this.viewer.repaint();
    });
    press(this.switch, this.measure);
    const name = (modality) =>
      make("th", { style: `--modality:${MODALITY_COLOURS[modality]}` }, say("modality-" + modality));
    const grid = make("table", { class: "grid" });
    const corner = make("td", { class: "corner", text: say("query-key-corner") });
    grid.append(make("tr", {}, corner, ...presentIn(keys).map(name)));
    this.rows = presentIn(queries).map((queryModality) => {
      const row = make("tr", {}, name(queryModality));
      const cells = presentIn(keys).map((keyModality) => {
        const button = make("button", { type: "button", class: "cell" });
        const groups = { from: tokensOf(queries, queryModality), to: tokensOf(keys, keyModality) };
        const streams = { from: attnMap.queryStream, to: attnMap.keyStream };
        const group = () => {
          const { direction } = this.viewer.view;
          return [streams[direction], groups[direction]];
        };
        button.addEventListener("pointerenter", () => this.viewer.drag(...group()));
        button.addEventListener("pointerleave", () => this.viewer.hover(null));
        button.addEventListener("focus", () => button.matches(":focus-visible") && this.viewer.drag(...group()));
        button.addEventListener("blur", () => this.viewer.hover(null));
        button.addEventListener("click", (event) => this.viewer.click(...group(), event.pointerType === "touch" ? "tap" : "pin"));
        row.append(make("td", {}, button));
        return { keyModality, button, names: [say("modality-" + queryModality), say("modality-" + keyModality)] };
      });
      grid.append(row);
      return { queryModality, cells };
    });
    // as many rows for every map, or what lies below moves away under the pointer
    const most = Math.max(...header.maps.map((map) => presentIn(header.streams[map.queries].modality).length));
    for (let row = this.rows.length; row < most; row++) {
      grid.append(make("tr", { class: "empty-row" }, make("td", {}, make("button", { class: "cell", text: "0" }))));
    }
    const buttons = this.rows.flatMap(({ cells }) => cells.map(({ button }) => button));
    const columns = presentIn(keys).length;
    const boxes = buttons.map((_, k) => [k % columns, Math.floor(k / columns), (k % columns) + 1, Math.floor(k / columns) + 1]);
    useRovingTabindex(grid, buttons, (at, key, isWhole) => nextInGrid(boxes, at, key, isWhole));
    this.note = make("p", { class: "note" });
    const heading = make("h3", { text: say("modality-matrix"), title: say("modality-matrix-help") });
    this.element.replaceChildren(make("div", { class: "line" }, heading, this.switch), grid, this.note);
  }

  paint({ attnMap }) {
    if (!attnMap || this.attnMap === attnMap) return;
    const isSameLayout =
      this.attnMap?.queryStream === attnMap.queryStream &&
      this.attnMap.keyStream === attnMap.keyStream &&
      this.unit === unitOf(attnMap.mapRef);
    if (!isSameLayout) this.buildCells(attnMap);
    this.attnMap = attnMap;
    const { say } = this.viewer;
    const values = normalizedMatrix(attnMap, this.measure, this.keyCounts);
    const isRatio = this.measure === "ratio";
    const all = allCheckpoints(attnMap).flatMap((checkpoint) => [
      ...normalizedMatrix(checkpoint, this.measure, this.keyCounts),
    ]);
    const isShare = this.measure === "sums" && this.unit !== "relevance"; // rows of relevance sum to anything
    const most = isShare ? 1 : Math.max(...all) || 1;
    for (const { queryModality, cells } of this.rows) {
      for (const { keyModality, button, names } of cells) {
        const value = values[MODALITIES.indexOf(queryModality) * 4 + MODALITIES.indexOf(keyModality)];
        const index = isRatio
          ? colourIndex(Math.log2(value || 1 / MAX_RATIO), Math.log2(MAX_RATIO), true)
          : colourIndex(value, most, false);
        const table = isRatio ? DIFFERENCES : AMOUNTS;
        setText(button, twoDigits(value));
        button.style.background = table.css[index];
        button.style.color = table.ink[index];
        button.setAttribute("aria-label", say("cell-" + this.unit, { from: names[0], to: names[1], amount: twoDigits(value) }));
      }
    }
    const scale = say("scale-cells", { unit: nameOfUnit(say, attnMap.mapRef), largest: twoDigits(most) });
    setText(this.note, isRatio ? say(this.unit === "relevance" ? "scale-ratio-mean" : "scale-ratio") : scale);
  }
}

function tokensOf(modalities, modality) {
  return modalities.flatMap((other, token) => (other === modality ? [token] : []));
}
