// What is looked at, in words. `say(code, values)` gives a sentence.
import { strongest, weight } from "./attentionRows.js";
import { short, signed, three } from "./codes.js";

const NAMED = 3; // tokens of a group that are named

/** The way of looking that a plane shows: "layer 5, head 3", "rollout". */
export function tellWay(header, say, plane) {
  if (!plane.includes(":")) return say("way-" + plane);
  const [map, head] = plane.split(":");
  const layer = tellLayer(header, Number(map));
  return head === "mean" ? say("cell-mean", { layer }) : say("cell-head", { layer, head: Number(head) + 1 });
}

/** The number of a map's layer; where a layer has several maps, their streams as well. */
export function tellLayer(header, map) {
  const { layer, queries, keys } = header.maps[map];
  const isAlone = header.maps.filter((other) => other.layer === layer).length === 1;
  return isAlone ? String(layer + 1) : `${layer + 1} (${queries} → ${keys})`;
}

/** Who asks, or is asked. */
export function tellTitle(header, say, { chosen, tokens, versus, direction }) {
  const first = tellTokens(header, say, chosen, tokens);
  if (!versus.length) return say("title-" + direction, { token: first });
  const second = tellTokens(header, say, chosen, versus);
  return say("title-difference", { first, second, way: say("direction-" + direction) });
}

function tellTokens(header, say, stream, tokens) {
  const names = tokens.slice(0, NAMED).map((token) => `“${header.streams[stream].name[token]}”`);
  if (tokens.length <= NAMED) return names.join(say("comma"));
  return say("group", { count: tokens.length, names: names.join(say("comma")) });
}

/** What is asked, and the exact amount of what is pointed at while something is pinned; else the strongest. */
export function tellFrame(header, say, frame, isPinned) {
  const { pointed, lit, amounts } = frame;
  const names = header.streams[lit].name;
  const title = tellTitle(header, say, frame);
  if (pointed && isPinned && pointed.stream === lit) {
    const words = say("told-pointed", {
      title,
      token: names[pointed.token],
      amount: tellAmount(frame, amounts[pointed.token]),
    });
    const back = wayBack(frame, pointed.token);
    return back === null ? words : words + say("back", { amount: three(back) });
  }
  const most = strongest(amounts, NAMED).map((k) => `“${names[k]}” ${tellAmount(frame, amounts[k])}`);
  return say("told-most", { title, most: most.join(say("comma")) });
}

/** Three digits of a weight; two of a mean over several tokens or of a difference, which are worked out from codes. */
export function tellAmount(frame, amount) {
  if (frame.isAbout) return "≈ " + (frame.isDifference ? signed : short)(amount);
  if (frame.isDifference) return signed(amount);
  return frame.tokens.length > 1 ? short(amount) : three(amount);
}

/** The weight the other way round, between two tokens of one stream; null where there is none. */
function wayBack({ plane, direction, tokens, isDifference }, token) {
  if (tokens.length !== 1 || isDifference || plane.queryStream !== plane.keyStream) return null;
  return direction === "from" ? weight(plane, token, tokens[0]) : weight(plane, tokens[0], token); // or it is not here
}
