// Words that the model wrote: where attention went while each was written, by group of keys. No DOM.
import { MODALITIES } from "./attentionRows.js";

/** Groups of keys, in the order of mmviz/analysis/answer_shares.py. */
export const KEY_GROUPS = [...MODALITIES, "answer"];

/** Returns the tokens of a stream that the model wrote, each from the token before it. */
export function answerWords(header, stream) {
  return header.answer_words?.[stream] ?? [];
}

/**
 * Returns the shares of attention while each word was written: `words` and `queries` (tokens of the stream of the
 * queries; a word is written from the token before it), `groups`, and `shares`, for each group an array [word] of the
 * sums of the weights. A map without all its weights cannot tell the words of the prompt from those of the answer, and
 * has no group "answer". Returns null for a map whose queries are no such words.
 */
export function answerShares(header, attnMap) {
  const words = answerWords(header, attnMap.queryStream);
  if (!words.length) return null;
  const queries = words.map((word) => word - 1);
  const { modality } = header.streams[attnMap.keyStream];
  const written = attnMap.isPooled ? [] : answerWords(header, attnMap.keyStream);
  const isWritten = new Set(written);
  const own = queries.map((query) => written.reduce((sum, key) => sum + weightOf(attnMap, query, key), 0));
  const shares = {};
  for (const group of KEY_GROUPS) {
    const isOwn = group === "answer";
    const count = isOwn ? written.length : modality.filter((name, k) => name === group && !isWritten.has(k)).length;
    if (!count) continue;
    const column = MODALITIES.indexOf(group);
    const ofText = group === "text" ? own : null;
    shares[group] = isOwn
      ? own
      : queries.map((query, k) => Math.max(0, attnMap.from[query * 4 + column] - (ofText ? ofText[k] : 0)));
  }
  return { words, queries, groups: Object.keys(shares), shares };
}

/**
 * Returns for each moment of a sound the words that attended most to it while they were written: a Map from a token of
 * the stream of keys to an array of words. `moments` are the tokens that are moments. Words that attended to none of
 * them are left out, and all are where the map is of other queries, or its exact weights are not here.
 */
export function wordsByMoment(header, attnMap, moments) {
  const byMoment = new Map();
  if (attnMap.isPooled) return byMoment;
  for (const word of answerWords(header, attnMap.queryStream)) {
    let [strongest, most] = [null, 0];
    for (const moment of moments) {
      const weight = weightOf(attnMap, word - 1, moment);
      if (weight > most) [strongest, most] = [moment, weight];
    }
    if (strongest !== null) byMoment.set(strongest, [...(byMoment.get(strongest) ?? []), word]);
  }
  return byMoment;
}

function weightOf(attnMap, query, key) {
  return attnMap.values[attnMap.codes[query * attnMap.keys + key]];
}
