// The tables of the softmax step: the keys with the largest weights, and the sums by modality.
import { MODALITIES, strongest } from "./attentionRows.js";
import { sumByModality } from "./attentionSteps.js";
import { make } from "./dom.js";
import { formatNumber } from "./numberFormat.js";

export const MAX_KEYS = 5; // keys that are listed by name

/** Lists in `table` the keys with the largest weights, and the chosen one; `nameOf(key)` names them. */
export function fillKeyTable(table, say, nameOf, key, computed, modelWeights) {
  const top = strongest(computed.weights, MAX_KEYS);
  const rows = (top.includes(key) ? top : [...top, key]).map((other) => {
    const numbers = [computed.raw, computed.logits, computed.exps, computed.weights, modelWeights];
    return [nameOf(other), ...numbers.map((values) => formatNumber(values[other]))];
  });
  const columns = ["calc-column-key", "calc-column-raw", "calc-column-logit", "calc-column-exp", "calc-column-weight"];
  const headings = [...columns, "calc-column-model"].map((code) => say(code));
  fillTable(table, say("calc-table"), headings, rows);
}

/** Lists in `table` the sums over the keys of each modality. */
export function fillModalityTable(table, say, modalities, computed, modelWeights) {
  const sums = [computed.exps, computed.weights, modelWeights].map((values) => sumByModality(modalities, values));
  const rows = MODALITIES.flatMap((modality, index) => {
    const count = modalities.filter((other) => other === modality).length;
    const numbers = sums.map((values) => formatNumber(values[index]));
    return count ? [[say("modality-" + modality), count, ...numbers]] : [];
  });
  const columns = ["calc-column-modality", "calc-column-keys", "calc-column-exp", "calc-column-weight"];
  const headings = [...columns, "calc-column-model"].map((code) => say(code));
  fillTable(table, say("calc-sums"), headings, rows);
}

/** Fills a table; the first column holds the headings of the rows. */
function fillTable(table, caption, headings, rows) {
  const line = ([first, ...rest]) =>
    make("tr", {}, make("th", { scope: "row", text: first }), ...rest.map((text) => make("td", { text })));
  table.replaceChildren(
    make("caption", { text: caption }),
    make("tr", {}, ...headings.map((text) => make("th", { scope: "col", text }))),
    ...rows.map(line),
  );
}
