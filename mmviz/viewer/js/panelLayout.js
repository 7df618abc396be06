// Where the panels of the viewer stand on the page.
import { make } from "./dom.js";

const HELP_LINES = 6;

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

function makeHelp(say) {
  const lines = Array.from({ length: HELP_LINES }, (_, k) => make("li", { text: say("help-" + (k + 1)) }));
  return make(
    "section",
    { class: "panel help", "aria-label": say("help") },
    make("h3", { text: say("help") }),
    make("ul", {}, ...lines),
  );
}
