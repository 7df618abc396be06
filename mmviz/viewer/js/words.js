// The words as chips, and the tokens that have no place in any input.
import { AMOUNTS, DIFFERENCES, step } from "./colours.js";
import { short, signed } from "./codes.js";
import { make, makeSkip, setText } from "./dom.js";
import { listen, tokensBetween } from "./pointing.js";

const MOST = 400; // chips of tokens without a place; all of them are in the matrix
const NUMBERED = 200; // more chips carry no number of their own: the pointer tells it

/** The panel `words`: a row of chips for each stream that has text, then one for the tokens without a place. */
export class WordsPanel {
  constructor(viewer) {
    this.viewer = viewer;
    this.element = make("section", { class: "panel", "data-panel": "words", "aria-label": viewer.say("words") });
    this.rows = make("div", { class: "rows" });
    listen(
      this.rows,
      (x, y, event) => find(event),
      (a, b) => this.between(a, b),
      viewer,
    );
  }

  build(streams) {
    const { header, say } = this.viewer;
    this.chips = [];
    const rows = [];
    const several = streams.filter((name) => header.words[name]).length > 1;
    for (const name of streams) {
      const pieces = header.words[name];
      if (!pieces) continue;
      const row = make("div", { class: "chips", dir: "auto", "data-stream": name });
      for (const [text, token] of pieces) {
        row.append(token === null ? make("span", { class: "between", text }) : this.chip(name, token, text));
      }
      rows.push(...(several ? [make("h4", { text: name })] : []), row);
    }
    if (!rows.length) rows.push(make("p", { class: "empty", text: say("words-none") }));
    for (const name of streams) {
      const { where, name: names } = header.streams[name];
      const written = new Set((header.words[name] ?? []).map(([, token]) => token));
      const special = names.flatMap((_, token) => (where[token] || written.has(token) ? [] : [token]));
      if (!special.length) continue;
      const row = make("div", { class: "chips special", "data-stream": name });
      row.append(make("span", { class: "between", text: say("special") }));
      for (const token of special.slice(0, MOST)) row.append(this.chip(name, token, names[token]));
      if (special.length > MOST)
        row.append(make("span", { class: "between", text: say("more-special", { count: special.length - MOST }) }));
      rows.unshift(row);
    }
    this.rows.replaceChildren(...rows);
    this.rows.classList.toggle("many", this.chips.length > NUMBERED);
    const skip = this.chips.length > 3 ? makeSkip(say("skip", { count: this.chips.length }), this.element) : null;
    this.element.replaceChildren(...[make("h3", { text: say("words") }), skip, this.rows].filter(Boolean));
  }

  chip(stream, token, text) {
    const { header } = this.viewer;
    const amount = make("span", { class: "amount", dir: "ltr" });
    const word = make("span", { class: "word", text });
    const place = header.streams[stream].place[token].replace("\n", " ");
    const button = make(
      "button",
      { type: "button", class: "chip", "data-token": token, "data-stream": stream, "aria-label": place },
      word,
      amount,
    );
    this.chips.push({ stream, token, button, word, amount });
    return button;
  }

  resize() {}

  paint(frame) {
    const table = frame.isDifference ? DIFFERENCES : AMOUNTS;
    const isNumbered = this.chips.length <= NUMBERED;
    for (const { stream, token, button, word, amount } of this.chips) {
      const isLit = stream === frame.lit && frame.amounts;
      const at = isLit ? step(frame.amounts[token], frame.largest, frame.isDifference) : -1;
      if (button.at !== at || button.table !== table) {
        word.style.background = isLit ? table.css[at] : "";
        word.style.color = isLit ? table.ink[at] : "";
        button.at = at;
        button.table = table;
      }
      if (isNumbered) setText(amount, isLit ? (frame.isDifference ? signed : short)(frame.amounts[token]) : " ");
      const isChosen = stream === frame.chosen;
      const mark = !isChosen
        ? ""
        : frame.tokens.includes(token)
          ? "first"
          : frame.versus.includes(token)
            ? "second"
            : "";
      if (button.dataset.pin !== mark) button.dataset.pin = mark;
      const isPointed = frame.pointed?.stream === stream && frame.pointed.token === token;
      if (button.isPointed !== isPointed) button.classList.toggle("pointed", (button.isPointed = isPointed));
    }
  }

  between(first, last) {
    const there = new Set(this.chips.filter(({ stream }) => stream === first.stream).map(({ token }) => token));
    return tokensBetween(first, last).filter((token) => there.has(token));
  }
}

/** The chip under the pointer; while a drag has the pointer, the one that lies there. */
function find(event) {
  const root = event.currentTarget?.getRootNode?.() ?? document;
  const under = root.elementFromPoint(event.clientX, event.clientY);
  const chip = under?.closest?.("[data-token]");
  return chip ? { stream: chip.dataset.stream, token: Number(chip.dataset.token) } : null;
}
