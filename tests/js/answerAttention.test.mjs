// Shares of attention over the words of an answer, of a map small enough to be computed on paper.
import assert from "node:assert/strict";
import { test } from "node:test";

import { answerShares, HOLD, playingWords, wordsByMoment } from "../../mmviz/viewer/js/answerAttention.js";

// Tokens: a patch, a word of the prompt, two moments, a special token, and two words of the answer.
const header = {
  streams: { all: { modality: ["image", "text", "audio", "audio", "special", "text", "text"] } },
  answer_words: { all: [5, 6] },
};
const WEIGHTS = [
  [1, 0, 0, 0, 0, 0, 0],
  [0.5, 0.5, 0, 0, 0, 0, 0],
  [0, 0, 1, 0, 0, 0, 0],
  [0, 0, 0.5, 0.5, 0, 0, 0],
  [0.4, 0.1, 0.1, 0.3, 0.1, 0, 0], // writes the first word
  [0.1, 0.1, 0.25, 0.05, 0.2, 0.3, 0], // writes the second
  [0.1, 0.1, 0.1, 0.1, 0.1, 0.2, 0.3],
];
const values = [0, 0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 1];
const sumsOf = (row) => ["image", "text", "audio", "special"].map((name) =>
  row.reduce((sum, weight, k) => sum + (header.streams.all.modality[k] === name ? weight : 0), 0)); // prettier-ignore
const attnMap = {
  queryStream: "all",
  keyStream: "all",
  keys: 7,
  values,
  codes: WEIGHTS.flat().map((weight) => values.indexOf(weight)),
  from: WEIGHTS.flatMap(sumsOf),
};
const rounded = (numbers) => numbers.map((number) => Number(number.toFixed(9)));

test("each word has the shares of the token before it", () => {
  const table = answerShares(header, attnMap);
  assert.deepEqual([table.words, table.queries], [[5, 6], [4, 5]]); // prettier-ignore
  assert.deepEqual(table.groups, ["image", "text", "audio", "special", "answer"]);
  assert.deepEqual(rounded(table.shares.image), [0.4, 0.1]);
  assert.deepEqual(rounded(table.shares.text), [0.1, 0.1]);
  assert.deepEqual(rounded(table.shares.audio), [0.4, 0.3]);
  assert.deepEqual(rounded(table.shares.special), [0.1, 0.2]);
  assert.deepEqual(rounded(table.shares.answer), [0, 0.3]);
});

test("a map of bins cannot tell words of the prompt from those of the answer", () => {
  const table = answerShares(header, { ...attnMap, isPooled: true, rows: new Map() });
  assert.deepEqual(table.groups, ["image", "text", "audio", "special"]);
  assert.deepEqual(rounded(table.shares.text), [0.1, 0.4]);
});

test("queries that are no words of an answer have no shares", () => {
  assert.equal(answerShares({ ...header, answer_words: {} }, attnMap), null);
});

test("a word belongs to the moment that it attended to most while it was written", () => {
  assert.deepEqual([...wordsByMoment(header, attnMap, [2, 3])], [[3, [5]], [2, [6]]]); // prettier-ignore
  assert.deepEqual([...wordsByMoment(header, attnMap, [])], []);
  const bins = { ...attnMap, isPooled: true, rows: new Map([["from/4", WEIGHTS[4]]]) };
  assert.deepEqual([...wordsByMoment(header, bins, [2, 3])], [], "the row of the second word is not here");
  bins.rows.set("from/5", WEIGHTS[5]);
  assert.deepEqual([...wordsByMoment(header, bins, [2, 3])], [[3, [5]], [2, [6]]]); // prettier-ignore
  assert.deepEqual(answerShares(header, bins).shares, answerShares(header, attnMap).shares);
});

test("a word is lit while its moment plays, and a little longer", () => {
  const location = [[0, 0, 1, 1], [0, 1], [0, 0.5], [0.5, 1], null, null, null]; // prettier-ignore
  const timed = { ...header, streams: { all: { ...header.streams.all, location } } };
  const at = (time) => playingWords(timed, attnMap, time).map(({ stream, token }) => `${stream} ${token}`);
  assert.deepEqual([at(0), at(0.49), at(1), at(1 + HOLD)], [["all 6"], ["all 6"], ["all 5"], []]); // prettier-ignore
  assert.deepEqual(at(0.5 + HOLD / 2), ["all 5", "all 6"]);
});
