// MapRef, the identity of a map: "5:2" and "5:mean" name a head of layer 5 and the mean over its heads, "5.1:2" a head
// of the second map of layer 5, "tower/5:2" a head of the stack "tower", whose name may hold any character, "rollout" and
// "relevance" a flow through all layers, "picture/rollout" one to the stream "picture". See mmviz/types/map_ref.py.
// No DOM.

/**
 * Splits a MapRef into `mapIndex`, an index of `header.maps`, and `head`, a number or "mean".
 * Returns null for a flow, and for a map that the run does not have.
 */
export function parseMapRef(header, mapRef) {
  const colon = mapRef.lastIndexOf(":");
  const [layer, head] = [mapRef.slice(0, colon), mapRef.slice(colon + 1)];
  const mapIndex = header.maps.findIndex((map) => map.ref === layer);
  if (colon < 0 || mapIndex < 0) return null;
  return { mapIndex, head: head === "mean" ? head : Number(head) };
}

/**
 * Returns the MapRef of the run that a text stands for: without a stack it is in the default one; null where there is
 * none. A link may come from a run of more stacks, or of fewer.
 */
export function readMapRef(header, text) {
  const prefix = header.default_stack + "/";
  const others = [prefix + text, text?.startsWith(prefix) ? text.slice(prefix.length) : null];
  return [text, ...others].find((mapRef) => header.map_refs.includes(mapRef)) ?? null;
}

/** Returns the MapRef of a head (a number or "mean") of the map at `mapIndex`. */
export function formatMapRef(header, mapIndex, head) {
  return `${header.maps[mapIndex].ref}:${head}`;
}

/**
 * Splits the name of a section into its `kind` and the `ref` of its map, and for a row or a window the `rest`
 * (DIRECTION/TOKEN, FIRST-LAST/FIRST-LAST). Slashes in the name of a stack belong to the ref.
 */
export function parseSectionName(name) {
  const [kind, ...parts] = name.split("/");
  const rest = kind === "row" || kind === "window" ? parts.splice(-2) : [];
  return { kind, ref: parts.join("/"), rest: rest.join("/") };
}

/** Whether a MapRef names a flow through all layers, not the attention of one layer. */
export function isFlow(mapRef) {
  return flowMethod(mapRef) !== null;
}

/** Returns the method of a flow, "rollout" or "relevance"; null for the attention of one layer. */
export function flowMethod(mapRef) {
  return /(?:^|\/)(rollout|relevance)$/.exec(mapRef)?.[1] ?? null;
}

/** Returns the MapRefs of the flows of a method, that to its own stream of keys first. */
export function flowsOf(header, method) {
  return Object.keys(header.flows).filter((mapRef) => flowMethod(mapRef) === method);
}

/** Returns the names of the query stream and the key stream of a map or a flow, whether or not its weights are here. */
export function streamsOf(header, mapRef) {
  if (header.flows[mapRef]) return header.flows[mapRef];
  const { queries, keys } = header.maps[parseMapRef(header, mapRef).mapIndex];
  return [queries, keys];
}
