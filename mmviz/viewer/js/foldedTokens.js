// Long runs of tokens that are alike, such as the padding after a short sound: each is shown as one. No DOM.

const MIN_FOLDED = 8; // tokens of a run that is shown as one
const NUMBER = /^\d+$/; // the name of a token of which nothing is known
const PADDING = /^[<[|_ ]*pad(ding)?[>\]|_ ]*$/i;

/**
 * Returns the ascending `tokens` as lists. A list of several holds neighbours that have the same name, or numbers for
 * names; any other token has a list of its own.
 */
export function foldRuns(tokens, names) {
  const areAlike = (a, b) => b === a + 1 && (names[a] === names[b] || (NUMBER.test(names[a]) && NUMBER.test(names[b])));
  const runs = [];
  for (const token of tokens) {
    if (runs.length && areAlike(runs.at(-1).at(-1), token)) runs.at(-1).push(token);
    else runs.push([token]);
  }
  return runs.flatMap((run) => (run.length < MIN_FOLDED ? run.map((token) => [token]) : [run]));
}

/** Returns what a run is called, with the number of its tokens. */
export function foldName(say, names, run, language) {
  const count = run.length.toLocaleString(language);
  const [first, last] = [names[run[0]], names[run.at(-1)]];
  if (PADDING.test(first)) return say("folded-padding", { count });
  return first === last ? say("folded", { count, name: first }) : say("folded-numbers", { count, first, last });
}

/** Returns the mean amount of the tokens of a run. */
export function meanAmount(amounts, run) {
  return run.reduce((sum, token) => sum + amounts[token], 0) / run.length;
}
