// Maps, tokens and amounts in words. `say(code, values)` returns a sentence in the viewer's language.
import { strongest, weight } from "./attentionRows.js";
import { foldName, meanAmount } from "./foldedTokens.js";
import { flowMethod, flowsOf, isFlow, parseMapRef } from "./mapRef.js";
import { stacksOf } from "./modelStacks.js";
import { signedTwoDigits, threeDigits, twoDigits } from "./numberFormat.js";
import { targetTokens } from "./tokenPointer.js";

const MAX_NAMED = 3; // tokens of a group that are named, and strongest tokens that are listed

/** Returns what a MapRef names: "layer 5, head 3", "rollout"; with its stack where the run has several. */
export function describeMap(header, say, mapRef) {
  const map = describeHead(header, say, mapRef);
  if (isFlow(mapRef) || stacksOf(header).length === 1) return map;
  return say("cell-in-stack", { stack: header.maps[parseMapRef(header, mapRef).mapIndex].stack_name, map });
}

/** Returns layer and head of a MapRef within its stack. */
export function describeHead(header, say, mapRef) {
  const flow = flowMethod(mapRef);
  if (flow) {
    const method = say("method-" + flow);
    return flowsOf(header, flow).length < 2 ? method : say("method-to", { method, stream: header.flows[mapRef][1] });
  }
  const { mapIndex, head } = parseMapRef(header, mapRef);
  const layer = describeLayer(header, mapIndex);
  return head === "mean" ? say("cell-mean", { layer }) : say("cell-head", { layer, head: head + 1 });
}

/** Returns the number of a map's layer in its stack, from 1; where the layer has several maps, with their streams. */
export function describeLayer(header, mapIndex) {
  const { stack, layer, queries, keys } = header.maps[mapIndex];
  const isOnlyMap = header.maps.filter((other) => other.stack === stack && other.layer === layer).length === 1;
  return isOnlyMap ? String(layer + 1) : `${layer + 1} (${queries} → ${keys})`;
}

/** Returns the heading of a frame: which tokens attend, or are attended by which. */
export function describeSelection(header, say, { chosenStream: stream, tokens, versus, direction }) {
  const first = nameTokens(header, say, stream, tokens);
  if (!versus.length) return say("title-" + direction, { token: first });
  const second = nameTokens(header, say, stream, versus);
  return say("title-difference", { first, second, method: say("direction-" + direction) });
}

function nameTokens(header, say, stream, tokens) {
  const names = tokens.slice(0, MAX_NAMED).map((token) => `“${header.streams[stream].name[token]}”`);
  if (tokens.length === 1) return names[0];
  const list = names.join(say("comma"));
  const group = tokens.length <= MAX_NAMED ? list : say("group", { count: tokens.length, names: list });
  return say("mean-over", { tokens: group });
}

/** Returns the "name" or "full_name" of a {stream, token}; of several that are shown as one, what they are called. */
export function nameOf(header, say, target, kind) {
  const stream = header.streams[target.stream];
  if (!("last" in target)) return stream[kind][target.token];
  return foldName(say, stream.name, targetTokens(target), header.language);
}

/** Returns the readout of a frame: the exact amount of the token under the pointer once tokens are pinned, else the strongest tokens. */
export function describeFrame(header, say, frame, isPinned) {
  const { pointed, amounts } = frame;
  const title = describeSelection(header, say, frame);
  if (pointed && isPinned && pointed.stream === frame.litStream) {
    const sentence = say("readout-pointed", {
      title,
      token: nameOf(header, say, pointed, "name"),
      amount: formatAmount(frame, meanAmount(amounts, targetTokens(pointed))),
    });
    const reverse = "last" in pointed ? null : reverseWeight(frame, pointed.token);
    return reverse === null ? sentence : sentence + say("reverse-weight", { amount: threeDigits(reverse) });
  }
  const names = header.streams[frame.litStream].name;
  const most = strongest(amounts, MAX_NAMED).map((k) => `“${names[k]}” ${formatAmount(frame, amounts[k])}`);
  return say("readout-strongest", { title, most: most.join(say("comma")) });
}

/** Returns three digits of a weight; two of a difference or a mean over tokens, which are computed from rounded weights. */
export function formatAmount(frame, amount) {
  if (frame.isApproximate) return "≈ " + (frame.isDifference ? signedTwoDigits : twoDigits)(amount);
  if (frame.isDifference) return signedTwoDigits(amount);
  return frame.tokens.length > 1 ? twoDigits(amount) : threeDigits(amount);
}

/** Returns the weight in the other direction between two tokens of one stream; null where there is none. */
function reverseWeight({ attnMap, direction, tokens, isDifference }, token) {
  if (tokens.length !== 1 || isDifference || attnMap.queryStream !== attnMap.keyStream) return null;
  return direction === "from" ? weight(attnMap, token, tokens[0]) : weight(attnMap, tokens[0], token);
}
