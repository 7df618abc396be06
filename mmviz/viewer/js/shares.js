// How the attention of what is chosen divides over the modalities: bars and three ways of counting.
import { MODALITIES, shares } from "./attentionRows.js";
import { MODALITY_COLOURS } from "./colours.js";
import { short, signed } from "./codes.js";
import { make, setText } from "./dom.js";

/** A row for each modality of the lit stream. */
export class Shares {
  constructor(viewer) {
    this.viewer = viewer;
    this.element = make("section", { class: "panel", "data-panel": "shares", "aria-label": viewer.say("shares") });
    this.of = null;
  }

  build() {
    this.of = null;
  }

  resize() {}

  /** Rows for the stream that is lit: made anew when it is another one. */
  rowsFor(stream) {
    const { header, say } = this.viewer;
    const here = MODALITIES.filter((modality) => header.streams[stream].modality.includes(modality));
    const head = ["sum", "per-token", "ratio"].map((code) =>
      make("th", { scope: "col", text: say("share-" + code), title: say(`share-${code}-help`) }),
    );
    this.caption = make("caption");
    this.rows = here.map((modality) => {
      const bar = make("i", { style: `background:${MODALITY_COLOURS[modality]}` });
      const cells = [0, 1, 2].map(() => make("td"));
      const count = header.streams[stream].modality.filter((one) => one === modality).length;
      const counted = make("small", { text: count === 1 ? say("one-token") : say("tokens", { count }) });
      const name = make("th", { scope: "row" }, say("modality-" + modality) + " ", counted);
      return {
        m: MODALITIES.indexOf(modality),
        bar,
        cells,
        row: make("tr", {}, name, make("td", { class: "bar" }, bar), ...cells),
      };
    });
    const top = make("tr", {}, make("td"), make("td"), ...head);
    this.element.replaceChildren(make("table", {}, this.caption, top, ...this.rows.map(({ row }) => row)));
    this.of = stream;
  }

  paint(frame) {
    if (this.of !== frame.lit) this.rowsFor(frame.lit);
    const { header } = this.viewer;
    setText(this.caption, this.viewer.titleOf(frame));
    if (!frame.plane) return;
    const { modality } = header.streams[frame.lit];
    const found = shares(frame.plane, frame.tokens, frame.direction, modality);
    if (frame.isDifference) subtract(found, shares(frame.plane, frame.versus, frame.direction, modality));
    const most = frame.isDifference ? Math.max(...found.sums.map(Math.abs)) || 1 : Math.max(1, ...found.sums);
    const write = frame.isDifference ? signed : short;
    for (const { m, bar, cells } of this.rows) {
      bar.style.transform = `scaleX(${Math.abs(found.sums[m]) / most})`;
      bar.classList.toggle("less", found.sums[m] < 0);
      setText(cells[0], write(found.sums[m]));
      setText(cells[1], write(found.perToken[m]));
      setText(cells[2], write(found.ratio[m]) + " ×");
    }
  }
}

function subtract(first, second) {
  for (const name of ["sums", "perToken", "ratio"])
    first[name] = first[name].map((value, m) => value - second[name][m]);
}
