// The attention of the chosen tokens by modality: a bar for the sum, and the sum, the mean per token and the ratio.
import { MODALITIES, countModalities, modalityTotals } from "./attentionRows.js";
import { MODALITY_COLOURS } from "./colours.js";
import { signedTwoDigits, twoDigits } from "./numberFormat.js";
import { make, setText } from "./dom.js";
import { nameOfUnit, unitOf } from "./mapUnits.js";

/** The panel `modality-bars`: a row for each modality of the stream that lights up. */
export class ModalityBarsPanel {
  constructor(viewer) {
    this.viewer = viewer;
    this.element = make("section", {
      class: "panel",
      "data-panel": "modality-bars",
      "aria-label": viewer.say("modality-bars"),
    });
    this.stream = null;
  }

  build() {
    this.stream = null;
  }

  resize() {}

  /** Lays out the rows for a stream. */
  buildRows(stream) {
    const { header, say } = this.viewer;
    const counts = countModalities(header.streams[stream].modality);
    const columns = ["sum", "per-token", "ratio"].map((code) =>
      make("th", { scope: "col", text: say("modality-" + code), title: say(`modality-${code}-help`) }),
    );
    this.selection = make("span");
    this.unit = make("span", { class: "unit" });
    this.caption = make("caption", {}, this.selection, " ", this.unit);
    this.rows = MODALITIES.flatMap((modality, index) => {
      const count = counts[index];
      if (!count) return [];
      const bar = make("i", { style: `background:${MODALITY_COLOURS[modality]}` });
      const cells = [0, 1, 2].map(() => make("td"));
      const countText = make("small", { text: count === 1 ? say("one-token") : say("tokens", { count }) });
      const name = make("th", { scope: "row" }, say("modality-" + modality) + " ", countText);
      const row = make("tr", {}, name, make("td", { class: "bar" }, bar), ...cells);
      return [{ index, bar, cells, row }];
    });
    this.ratioHeading = columns[2];
    const top = make("tr", {}, make("td"), make("td"), ...columns);
    this.element.replaceChildren(make("table", {}, this.caption, top, ...this.rows.map(({ row }) => row)));
    this.stream = stream;
  }

  paint(frame) {
    if (this.stream !== frame.litStream) this.buildRows(frame.litStream);
    setText(this.selection, this.viewer.describeSelection(frame));
    if (!frame.attnMap) return;
    const { say } = this.viewer;
    const isRelevance = unitOf(frame.mapRef) === "relevance";
    setText(this.unit, say(frame.direction === "from" ? "sums-of-row" : "sums-of-column", { unit: nameOfUnit(say, frame.mapRef) }));
    setText(this.ratioHeading, say(isRelevance ? "modality-ratio-mean" : "modality-ratio"));
    this.ratioHeading.title = say(isRelevance ? "modality-ratio-mean-help" : "modality-ratio-help");
    const { modality } = this.viewer.header.streams[frame.litStream];
    const totals = modalityTotals(frame.attnMap, frame.tokens, frame.direction, modality);
    if (frame.isDifference) subtract(totals, modalityTotals(frame.attnMap, frame.versus, frame.direction, modality));
    const isShare = !frame.isDifference && !isRelevance;
    const most = Math.max(isShare ? 1 : 0, ...totals.sums.map(Math.abs)) || 1;
    const format = frame.isDifference ? signedTwoDigits : twoDigits;
    for (const { index, bar, cells } of this.rows) {
      bar.style.transform = `scaleX(${Math.abs(totals.sums[index]) / most})`;
      bar.classList.toggle("negative", totals.sums[index] < 0);
      setText(cells[0], format(totals.sums[index]));
      setText(cells[1], format(totals.perToken[index]));
      setText(cells[2], format(totals.ratio[index]) + " ×");
    }
  }
}

/** Subtracts the totals of a second group of tokens from those of the first, in place. */
function subtract(first, second) {
  for (const name of ["sums", "perToken", "ratio"]) {
    first[name] = first[name].map((value, m) => value - second[name][m]);
  }
}
