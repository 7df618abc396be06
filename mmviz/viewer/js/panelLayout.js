// The panels of the viewer, and where they stand on the page.
import { AnswerSharesPanel } from "./answerAttentionPanel.js";
import { AudioPanel } from "./audioPanel.js";
import { CalculatorPanel } from "./calculator.js";
import { make } from "./dom.js";
import { ImagePanel } from "./imagePanel.js";
import { MatrixPanel } from "./matrixPanel.js";
import { ModalityBarsPanel } from "./modalityBars.js";
import { ModalityMatrixPanel } from "./modalityMatrixPanel.js";
import { OverviewPanel } from "./overviewPanel.js";
import { TextPanel } from "./textPanel.js";
import { hasWideImage } from "./breakpoints.js";

const HELP_LINES = 6;

/** Returns all panels of a viewer, by name. */
export function makePanels(viewer) {
  return {
    image: new ImagePanel(viewer),
    text: new TextPanel(viewer),
    answerShares: new AnswerSharesPanel(viewer),
    audio: new AudioPanel(viewer),
    modalityBars: new ModalityBarsPanel(viewer),
    modalityMatrix: new ModalityMatrixPanel(viewer),
    overview: new OverviewPanel(viewer),
    matrix: new MatrixPanel(viewer),
    calculator: new CalculatorPanel(viewer),
  };
}

/** Returns the elements that hold all panels of a viewer: the inputs and maps, the matrix with the help, the calculator. */
export function layOutPanels({ panels, say }) {
  const { image, text, answerShares, audio, modalityBars, modalityMatrix, overview, matrix, calculator } = panels;
  const column = (name, ...parts) => make("div", { class: "column " + name }, ...parts.map(({ element }) => element));
  const help = { element: makeHelp(say) };
  return [
    make(
      "div",
      { class: "panels" },
      column("image", image),
      column("text-audio", text, answerShares, audio, modalityBars),
      column("summary", modalityMatrix, overview),
    ),
    make("div", { class: "panels below" }, column("matrix", matrix), column("help", help)),
    calculator.element,
  ];
}

/** Puts the bars of the modalities where there is room: below a wide picture, else below words and sound. */
export function placeModalityBars({ root, panels, header }) {
  const column = hasWideImage(header) ? "image" : "text-audio";
  root.querySelector(`.column.${column}`).append(panels.modalityBars.element);
}

function makeHelp(say) {
  const lines = Array.from({ length: HELP_LINES }, (_, k) => make("li", { text: say("help-" + (k + 1)) }));
  return make(
    "section",
    { class: "panel help", "aria-label": say("help") },
    make("h3", { text: say("help") }),
    make("ul", {}, ...lines),
  );
}
