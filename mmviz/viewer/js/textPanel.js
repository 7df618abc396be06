// The text as chips, one for each token, and a row of the tokens that have no location in any input.
import { answerWords } from "./answerAttention.js";
import { AMOUNTS, colourIndex, DIFFERENCES } from "./colours.js";
import { signedTwoDigits, twoDigits } from "./numberFormat.js";
import { make, setText } from "./dom.js";
import { foldName, foldRuns, meanAmount } from "./foldedTokens.js";
import { nextInLines, useRovingTabindex } from "./rovingTabindex.js";
import { listenToPointer, tokensBetween } from "./tokenPointer.js";

const MAX_SPECIAL = 400; // chips of tokens without a location; all of them are in the matrix
const MAX_NUMBERED = 200; // with more chips, amounts are read by pointing

/** Returns the {stream, token} that a button stands for, with the `last` token where it stands for several. */
export function targetOf({ dataset }) {
  const target = { stream: dataset.stream, token: Number(dataset.token) };
  return dataset.last === undefined ? target : { ...target, last: Number(dataset.last) };
}

/**
 * The panel `text`: a row of chips for the special tokens of each stream, one for each stream that has text, one for the
 * words that the model wrote itself, and one for words whose place is not known.
 */
export class TextPanel {
  constructor(viewer) {
    this.viewer = viewer;
    this.element = make("section", { class: "panel", "data-panel": "text", "aria-label": viewer.say("text") });
    this.rows = make("div", { class: "rows" });
    listenToPointer(
      this.rows,
      (x, y, event) => chipAt(event),
      (first, last) => this.between(first, last),
      viewer,
    );
  }

  build(streams) {
    const { header, say } = this.viewer;
    this.chips = [];
    const rows = [];
    const hasSeveral = streams.filter((name) => header.text_pieces[name]).length > 1;
    for (const name of streams) {
      const pieces = header.text_pieces[name];
      if (!pieces) continue;
      const row = make("div", { class: "chips", dir: "auto", "data-stream": name });
      for (const [text, token] of pieces) {
        row.append(token === null ? make("span", { class: "between", text }) : this.makeChip(name, token, text));
      }
      rows.push(...(hasSeveral ? [make("h4", { text: name })] : []), row);
    }
    for (const name of streams) this.addRow(rows, name, "unplaced", unplacedWords(header, name));
    if (!rows.length) rows.push(make("p", { class: "empty", text: say("text-none") }));
    for (const name of streams) {
      const special = specialTokens(header, name);
      if (!special.length) continue;
      const row = make("div", { class: "chips special", "data-stream": name });
      row.append(make("span", { class: "between", text: say("special") }));
      const names = header.streams[name].name;
      const runs = foldRuns(special, names);
      for (const run of runs.slice(0, MAX_SPECIAL)) {
        if (run.length === 1) row.append(this.makeChip(name, run[0], names[run[0]]));
        else row.append(...this.makeFold(name, run));
      }
      const hidden = runs.slice(MAX_SPECIAL).flat().length;
      if (hidden > 0) row.append(make("span", { class: "between", text: say("more-special", { count: hidden }) }));
      rows.unshift(row);
    }
    const written = [];
    for (const name of streams) this.addRow(written, name, "written", answerWords(header, name));
    rows.unshift(...written); // the answer comes first: it must not lie below a long prompt
    const label = say("roving-label", { name: say("text"), count: this.chips.length });
    const toolbar = make("div", this.chips.length ? { role: "toolbar", "aria-label": label } : {}, ...rows);
    const buttons = [...toolbar.querySelectorAll("button")];
    useRovingTabindex(toolbar, buttons, (at, key, isWhole) => nextChip(buttons, at, key, isWhole));
    this.rows.replaceChildren(toolbar);
    this.rows.classList.toggle("many", this.chips.length > MAX_NUMBERED);
    this.element.replaceChildren(make("h3", { text: say("text") }), this.rows);
  }

  /** Adds a row of tokens of a stream, after its name. */
  addRow(rows, stream, label, tokens) {
    if (!tokens.length) return;
    const { header, say } = this.viewer;
    const name = make("span", { class: "between", text: say(label), title: say(label + "-help") });
    const chips = tokens.map((token) => this.makeChip(stream, token, header.streams[stream].name[token]));
    rows.push(make("div", { class: "chips " + label, dir: "auto", "data-stream": stream }, name, ...chips));
  }

  makeChip(stream, token, text) {
    const { header } = this.viewer;
    const amount = make("span", { class: "amount", dir: "ltr" });
    const word = make("span", { class: "word", text });
    const label = header.streams[stream].full_name[token].replace("\n", " ");
    const button = make(
      "button",
      { type: "button", class: "chip", "data-token": token, "data-stream": stream, "aria-label": label },
      word,
      amount,
    );
    this.chips.push({ stream, token, tokens: [token], button, word, amount });
    return button;
  }

  /** Returns one chip for a run of tokens, which chooses all of them, and a field that chooses one by its number. */
  makeFold(stream, run) {
    const { header, say } = this.viewer;
    const [first, last] = [run[0], run.at(-1)];
    const text = foldName(say, header.streams[stream].name, run, header.language);
    const button = this.makeChip(stream, first, text);
    button.dataset.last = last;
    button.setAttribute("aria-label", text);
    button.title = say("folded-help");
    Object.assign(this.chips.at(-1), { tokens: run });
    const label = say("folded-number", { first, last });
    const field = make("input", {
      type: "number", class: "number", min: first, max: last, placeholder: `${first}–${last}`, title: label, "aria-label": label,
    }); // prettier-ignore
    field.addEventListener("change", () => {
      if (field.value !== "" && field.checkValidity()) this.viewer.click(stream, [Number(field.value)]);
    });
    return [button, field];
  }

  resize() {}

  paint(frame) {
    const table = frame.isDifference ? DIFFERENCES : AMOUNTS;
    const format = frame.isDifference ? signedTwoDigits : twoDigits;
    const isNumbered = this.chips.length <= MAX_NUMBERED;
    for (const chip of this.chips) {
      const { stream, tokens, button, word, amount } = chip;
      const isLit = stream === frame.litStream && frame.amounts;
      const value = isLit ? meanAmount(frame.amounts, tokens) : 0;
      const index = isLit ? colourIndex(value, frame.largest, frame.isDifference) : -1;
      if (chip.index !== index || chip.table !== table) {
        word.style.background = isLit ? table.css[index] : "";
        word.style.color = isLit ? table.ink[index] : "";
        Object.assign(chip, { index, table });
      }
      if (isNumbered) setText(amount, isLit ? format(value) : " ");
      const isChosenStream = stream === frame.chosenStream;
      const pinned = isChosenStream && tokens.some((token) => frame.tokens.includes(token));
      const compared = isChosenStream && tokens.some((token) => frame.versus.includes(token));
      const mark = pinned ? "first" : compared ? "second" : "";
      if (button.dataset.pin !== mark) button.dataset.pin = mark;
      const isPlaying = frame.playingWords.some((playing) => playing.token === tokens[0] && playing.stream === stream);
      if (chip.isPlaying !== isPlaying) button.classList.toggle("playing", (chip.isPlaying = isPlaying));
      const isPointed = frame.pointed?.stream === stream && frame.pointed.token === tokens[0];
      if (chip.isPointed !== isPointed) button.classList.toggle("pointed", (chip.isPointed = isPointed));
    }
  }

  /** Returns the box of a word on the screen; null where it has no chip, or is scrolled out of sight. */
  placeOf(stream, token) {
    const chip = this.chips.find((each) => each.stream === stream && each.tokens.includes(token));
    if (!chip) return null;
    const [box, { top, bottom }] = [chip.word.getBoundingClientRect(), this.rows.getBoundingClientRect()];
    return box.bottom > top && box.top < bottom ? box : null;
  }

  /** Returns the tokens that a drag from one chip to another covers. */
  between(first, last) {
    const present = new Set(this.chips.filter(({ stream }) => stream === first.stream).flatMap(({ tokens }) => tokens));
    return tokensBetween(first, last).filter((token) => present.has(token));
  }
}

/** Returns the index of the chip that a key leads to, by where the chips are on the screen; null for any other key. */
function nextChip(buttons, at, key, isWhole) {
  const boxes = buttons.map((button) => {
    const { left, top, right, bottom } = button.getBoundingClientRect();
    return [left, top, right, bottom];
  });
  return nextInLines(boxes, at, key, isWhole, getComputedStyle(buttons[at].parentElement).direction === "rtl");
}

/** Returns the tokens of a stream that have no location and are no word of any text. */
function specialTokens(header, stream) {
  const words = new Set([...wordsOfText(header, stream), ...answerWords(header, stream), ...unplacedWords(header, stream)]);
  return header.streams[stream].location.flatMap((location, token) => (location || words.has(token) ? [] : [token]));
}

/** Returns the words of a stream whose place in the text is not known, and which the model did not write. */
function unplacedWords(header, stream) {
  const { modality, location } = header.streams[stream];
  const others = new Set([...wordsOfText(header, stream), ...answerWords(header, stream)]);
  return [...modality.keys()].filter((token) => modality[token] === "text" && !location[token] && !others.has(token));
}

function wordsOfText(header, stream) {
  return (header.text_pieces[stream] ?? []).map(([, token]) => token);
}

/** Returns the {stream, token} of the chip under the pointer, also while a drag has captured the pointer. */
function chipAt(event) {
  const root = event.currentTarget?.getRootNode?.() ?? document;
  const under = root.elementFromPoint(event.clientX, event.clientY);
  const chip = under?.closest?.("[data-token]");
  return chip ? targetOf(chip) : null;
}
