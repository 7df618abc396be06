// MapRef, the identity of a map: "5:2" and "5:mean" name a head of layer 5 and the mean over its heads, "5.1:2" a head
// of the second map of layer 5, "rollout" and "relevance" a flow through all layers. See mmviz/types/map_ref.py. No DOM.

/**
 * Splits a MapRef into `mapIndex`, an index of `header.maps`, and `head`, a number or "mean".
 * Returns null for a flow, and for a map that the run does not have.
 */
export function parseMapRef(header, mapRef) {
  const [layer, head] = mapRef.split(":");
  const mapIndex = header.maps.findIndex((map) => map.ref === layer);
  if (head === undefined || mapIndex < 0) return null;
  return { mapIndex, head: head === "mean" ? head : Number(head) };
}

/** Returns the MapRef of a head (a number or "mean") of the map at `mapIndex`. */
export function formatMapRef(header, mapIndex, head) {
  return `${header.maps[mapIndex].ref}:${head}`;
}

/** Whether a MapRef names a flow through all layers, not the attention of one layer. */
export function isFlow(mapRef) {
  return !mapRef.includes(":");
}

/** Returns the names of the query stream and the key stream of a map or a flow, whether or not its weights are here. */
export function streamsOf(header, mapRef) {
  if (header.flows[mapRef]) return header.flows[mapRef];
  const { queries, keys } = header.maps[parseMapRef(header, mapRef).mapIndex];
  return [queries, keys];
}
