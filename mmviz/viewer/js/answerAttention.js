// Words that the model wrote: where attention went while each was written, by group of keys. No DOM.
import { MODALITIES } from "./attentionRows.js";

/** Groups of keys, in the order of mmviz/analysis/answer_shares.py. */
export const KEY_GROUPS = [...MODALITIES, "answer"];

export const HOLD = 0.3; // seconds for which a word stays lit after its moment

/** Returns the tokens of a stream that the model wrote, each from the token before it. */
export function answerWords(header, stream) {
  return header.answer_words?.[stream] ?? [];
}

/**
 * Returns the shares of attention while each word was written: `words` and `queries` (tokens of the stream of the
 * queries; a word is written from the token before it), `groups`, and `shares`, for each group an array [word] of the
 * sums of the weights. A map without the exact weights of these queries cannot tell the words of the prompt from those of
 * the answer, and has no group "answer". Returns null for a map whose queries are no such words.
 */
export function answerShares(header, attnMap) {
  const words = answerWords(header, attnMap.queryStream);
  if (!words.length) return null;
  const queries = words.map((word) => word - 1);
  const { modality } = header.streams[attnMap.keyStream];
  const written = hasWords(header, attnMap) ? answerWords(header, attnMap.keyStream) : [];
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
  if (!hasWords(header, attnMap)) return byMoment;
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

const byMap = new WeakMap(); // a map -> for each word the span of its strongest moment

/**
 * Returns the words of the answer, each {stream, token}, whose strongest moment plays at `time` (seconds), or did so less
 * than `HOLD` before: a moment of 20 ms would be over before anybody sees it.
 */
export function playingWords(header, attnMap, time) {
  if (!hasWords(header, attnMap)) return [];
  if (!byMap.has(attnMap)) {
    const { modality, location } = header.streams[attnMap.keyStream];
    const moments = modality.flatMap((name, token) => (name === "audio" && location[token] ? [token] : []));
    const spans = [...wordsByMoment(header, attnMap, moments)].map(([moment, words]) => [location[moment], words]);
    byMap.set(attnMap, spans);
  }
  const now = byMap.get(attnMap).filter(([[start, end]]) => start <= time && time < end + HOLD);
  return now.flatMap(([, words]) => words.map((token) => ({ stream: attnMap.queryStream, token })));
}

/** Whether the exact weights of the queries that wrote the answer are here. */
export function hasWords(header, attnMap) {
  const words = answerWords(header, attnMap.queryStream);
  return words.length > 0 && (!attnMap.isPooled || words.every((word) => attnMap.rows.has(`from/${word - 1}`)));
}

function weightOf(attnMap, query, key) {
  if (attnMap.isPooled) return attnMap.rows.get(`from/${query}`)[key];
  return attnMap.values[attnMap.codes[query * attnMap.keys + key]];
}
