// The stacks of a run: the runs of layers that its maps belong to, such as a vision tower. Layers count within them.
// No DOM.
import { formatMapRef, isFlow, parseMapRef } from "./mapRef.js";

/** Returns the names of the stacks, in order of execution. */
export function stacksOf(header) {
  return [...new Set(header.maps.map((map) => map.stack))];
}

/** Returns the indices of all maps, grouped by stack, each stack in order of execution. */
export function mapsByStack(header) {
  const indices = Array.from(header.maps.keys());
  return stacksOf(header).flatMap((stack) => indices.filter((index) => header.maps[index].stack === stack));
}

/** Returns the MapRef of the mean over heads of the last map of a stack. */
export function lastMapOf(header, stack) {
  const mapIndex = header.maps.findLastIndex((map) => map.stack === stack);
  return formatMapRef(header, mapIndex, "mean");
}

/** Returns the stack of a MapRef; for a flow, which runs through all layers, the default stack. */
export function stackOf(header, mapRef) {
  return isFlow(mapRef) ? header.default_stack : header.maps[parseMapRef(header, mapRef).mapIndex].stack;
}

/** Returns what people call a stack. */
export function stackName(header, stack) {
  return header.maps.find((map) => map.stack === stack).stack_name;
}

/** Returns a stack in words: its name, and which modalities attend to which. */
export function describeStack(header, say, stack) {
  return `${stackName(header, stack)}: ${describeStreams(header, say, stack)}`;
}

/** Returns which modalities attend to which in a stack. */
export function describeStreams(header, say, stack) {
  const pairs = header.maps
    .filter((map) => map.stack === stack)
    .map(({ queries, keys }) => {
      const [from, to] = [queries, keys].map((stream) => describeStream(header, say, stream));
      return say(from === to ? "stack-streams-own" : "stack-streams", { from, to });
    });
  return [...new Set(pairs)].join("; ");
}

/** Returns the modalities of a stream in words; of one with special tokens alone, its name. */
function describeStream(header, say, stream) {
  const { modality } = header.streams[stream];
  const present = ["image", "text", "audio"].filter((kind) => modality.includes(kind));
  return present.map((kind) => say("modality-" + kind)).join(" + ") || stream;
}
