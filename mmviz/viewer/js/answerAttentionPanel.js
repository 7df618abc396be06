// A line for each group of keys over the words of the answer: its share of attention while the word was written.
import { answerShares, hasWords } from "./answerAttention.js";
import { MODALITY_COLOURS } from "./colours.js";
import { make, setText } from "./dom.js";
import { flowMethod, isFlow } from "./mapRef.js";
import { twoDigits } from "./numberFormat.js";
import { makeSvg, makeText } from "./svg.js";
import { listenToPointer, tokensBetween } from "./tokenPointer.js";

const LINES_HEIGHT = 110; // CSS pixels of the part with the lines
const LINES_LEFT = 32; // of the numbers at the left
const LINES_TOP = 6;
const NARROWEST_STEP = 13; // from word to word; with more words the chart scrolls
const WIDEST_STEP = 90;
const UPRIGHT_STEP = 62; // words that far apart are written upright
const FONT = 13; // CSS pixels
const MAX_LETTERS = 9; // of a word that are written
const GROUP_DASHES = { answer: "5 3", special: "1 3" };

/** The panel `answer-shares`; it is not there for a run whose model writes no answer, and for maps of other queries. */
export class AnswerSharesPanel {
  constructor(viewer) {
    this.viewer = viewer;
    const { say } = viewer;
    this.chart = makeSvg("svg", { role: "img" });
    this.scroller = make("div", { class: "scroller" }, this.chart);
    this.legend = make("p", { class: "groups" });
    this.help = make("p", { class: "note" });
    this.readout = make("p", { class: "note", "data-part": "answer-shares-readout" });
    this.element = make(
      "section",
      { class: "panel", "data-panel": "answer-shares", "aria-label": say("answer-shares"), hidden: true },
      make("h3", { text: say("answer-shares") }),
      this.help,
      this.scroller,
      this.legend,
      this.readout,
    );
    listenToPointer(this.chart, (x) => this.queryAt(x), tokensBetween, viewer);
  }

  build() {
    this.drawn = null;
  }

  resize() {
    this.drawn = null;
  }

  paint(frame) {
    const { attnMap } = frame;
    const isShown = Boolean(attnMap?.from) && flowMethod(frame.mapRef) !== "relevance";
    const colours = this.viewer.colours;
    const isExact = isShown && hasWords(this.viewer.header, attnMap);
    const { drawn } = this;
    if (drawn?.attnMap !== attnMap || drawn.colours !== colours || drawn.isExact !== isExact) {
      const table = isShown ? answerShares(this.viewer.header, attnMap) : null;
      this.drawn = { attnMap, colours, isExact, table, stream: attnMap?.queryStream };
      this.element.hidden = !table;
      if (table) this.draw(table, attnMap);
    }
    const { table, stream } = this.drawn;
    if (!table) return;
    const isQuery = frame.direction === "from" && frame.chosenStream === stream;
    const marked = isQuery ? table.queries.flatMap((query, k) => (frame.tokens.includes(query) ? [k] : [])) : [];
    this.mark(marked, table);
  }

  draw({ words, groups, shares }, attnMap) {
    const { header, say, colours } = this.viewer;
    const room = this.scroller.clientWidth || 300;
    this.step = Math.min(WIDEST_STEP, Math.max(NARROWEST_STEP, (room - LINES_LEFT - 6) / words.length));
    const width = Math.ceil(LINES_LEFT + this.step * words.length + 6);
    this.chart.setAttribute("width", width);
    const names = header.streams[attnMap.queryStream].name;
    const labels = words.map((word) => shortened(names[word]));
    const isWide = this.step > UPRIGHT_STEP;
    this.height = LINES_TOP + LINES_HEIGHT + 20 + (isWide ? 0 : 7 * Math.max(...labels.map((label) => [...label].length)));
    this.chart.setAttribute("height", this.height);
    const help = say(isFlow(attnMap.mapRef) ? "answer-shares-help-rollout" : "answer-shares-help");
    setText(this.help, help);
    this.chart.setAttribute("aria-label", `${say("answer-shares")}. ${help}`);
    const parts = [];
    for (const share of [0, 0.5, 1]) {
      const y = this.y(share);
      parts.push(makeSvg("line", { x1: LINES_LEFT, x2: width, y1: y, y2: y, stroke: colours.muted, "stroke-opacity": 0.35 }));
      parts.push(makeText(LINES_LEFT - 6, y + 4, String(share), { "text-anchor": "end", fill: colours.muted, "font-size": FONT }));
    }
    this.band = makeSvg("g", {});
    parts.push(this.band);
    labels.forEach((label, k) => {
      const [x, y] = [this.x(k), LINES_TOP + LINES_HEIGHT + 8];
      const place = isWide ? { "text-anchor": "middle" } : { transform: `rotate(60 ${x} ${y})` };
      parts.push(makeText(isWide ? x : x - 2, isWide ? y + 8 : y + 4, label, { ...place, fill: colours.text, "font-size": FONT }));
    });
    for (const group of groups) {
      const stroke = colourOf(group);
      const points = shares[group].map((share, k) => `${this.x(k)},${this.y(share)}`).join(" ");
      const dashes = GROUP_DASHES[group] ? { "stroke-dasharray": GROUP_DASHES[group] } : {};
      parts.push(makeSvg("polyline", { points, fill: "none", stroke, "stroke-width": 2, "data-group": group, ...dashes }));
      shares[group].forEach((share, k) => {
        const title = makeSvg("title", {});
        title.textContent = `“${names[words[k]]}”, ${this.nameOf(group)}: ${twoDigits(share)}`;
        const dot = makeSvg("circle", { cx: this.x(k), cy: this.y(share), r: 2.5, fill: stroke });
        dot.append(title);
        parts.push(dot);
      });
    }
    this.chart.replaceChildren(...parts);
    this.legend.replaceChildren(
      ...groups.map((group) => {
        const line = GROUP_DASHES[group] ? "dashed" : "solid";
        return make("span", {}, make("i", { style: `border-top:3px ${line} ${colourOf(group)}` }), this.nameOf(group));
      }),
    );
    this.names = names;
    this.marked = null;
  }

  /** Marks columns, and writes the shares of the first of them in numbers. */
  mark(marked, { words, queries, groups, shares }) {
    const key = marked.join(",");
    if (this.marked === key) return;
    this.marked = key;
    const { say, colours } = this.viewer;
    const bands = marked.map((k) =>
      makeSvg("rect", { x: this.x(k) - this.step / 2, y: 0, width: this.step, height: this.height, fill: colours.muted, "fill-opacity": 0.22 }),
    );
    this.band.replaceChildren(...bands);
    const [k] = marked;
    if (k === undefined) return setText(this.readout, say("answer-shares-point"));
    const list = groups.map((group) => `${this.nameOf(group)} ${twoDigits(shares[group][k])}`).join(say("comma"));
    const [word, query] = [this.names[words[k]], this.names[queries[k]]];
    setText(this.readout, say("answer-shares-word", { word, query, list }));
  }

  /** Returns the name of a group for people. */
  nameOf(group) {
    const { say } = this.viewer;
    if (group === "answer") return say("group-answer");
    const isApart = this.drawn.table.groups.includes("answer");
    if (group === "text") return say(isApart ? "group-prompt" : "group-words");
    return say("modality-" + group);
  }

  x(k) {
    return LINES_LEFT + (k + 0.5) * this.step;
  }

  y(share) {
    return LINES_TOP + LINES_HEIGHT * (1 - Math.min(1, share));
  }

  /** Returns the {stream, token} that wrote the word at an x position in CSS pixels; null beside all words. */
  queryAt(x) {
    if (!this.drawn?.table) return null;
    const token = this.drawn.table.queries[Math.floor((x - LINES_LEFT) / this.step)];
    return token === undefined ? null : { stream: this.drawn.stream, token };
  }
}

function shortened(word) {
  const letters = [...word];
  return letters.length > MAX_LETTERS ? letters.slice(0, MAX_LETTERS - 1).join("") + "…" : word;
}

function colourOf(group) {
  return MODALITY_COLOURS[group === "answer" ? "text" : group];
}
