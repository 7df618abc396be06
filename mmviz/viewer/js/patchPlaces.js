// Where patches lie on a picture: boxes in its pixels, and areas that do not overlap. No DOM.

export function contains([x0, y0, x1, y1], x, y) {
  return x >= x0 && x < x1 && y >= y0 && y < y1;
}

export function intersect(a, b) {
  return a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];
}

/**
 * Returns {token, box} of every patch of a stream; a box is [x0, y0, x1, y1] in pixels of the image. A tube of a video
 * has one more in each later frame, marked `isLater`: behind its moments, its location has their left and top edges.
 */
export function boxesOf(stream) {
  return stream.location.flatMap((location, token) => {
    if (stream.modality[token] !== "image" || !location) return [];
    const [x0, y0, x1, y1, , , ...later] = location;
    const boxes = [{ token, box: [x0, y0, x1, y1] }];
    for (let at = 0; at + 1 < later.length; at += 2) {
      const [left, top] = later.slice(at, at + 2);
      boxes.push({ token, box: [left, top, left + x1 - x0, top + y1 - y0], isLater: true });
    }
    return boxes;
  });
}

/** Returns the size of an image that is missing, from the boxes on it. */
export function extent(layers) {
  const boxes = layers.flatMap((layer) => layer.boxes.map(({ box }) => box));
  return { width: Math.max(1, ...boxes.map((box) => box[2])), height: Math.max(1, ...boxes.map((box) => box[3])) };
}

/** Returns rectangles that do not overlap, each with the `tokens` that cover it: where patches overlap, the largest amount is drawn. */
export function disjointCells(boxes) {
  const areDisjoint = boxes.every(({ box }, at) =>
    boxes.slice(at + 1, at + 40).every((other) => !intersect(box, other.box)),
  );
  if (areDisjoint) return boxes.map(({ token, box: [x0, y0, x1, y1] }) => ({ x0, y0, x1, y1, tokens: [token] }));
  const edges = (at) => [...new Set(boxes.flatMap(({ box }) => [box[at], box[at + 2]]))].sort((a, b) => a - b);
  const [xEdges, yEdges] = [edges(0), edges(1)];
  const cells = [];
  for (let row = 0; row + 1 < yEdges.length; row++) {
    for (let column = 0; column + 1 < xEdges.length; column++) {
      const [x0, x1, y0, y1] = [xEdges[column], xEdges[column + 1], yEdges[row], yEdges[row + 1]];
      const tokens = boxes.filter(({ box }) => intersect(box, [x0, y0, x1, y1])).map(({ token }) => token);
      if (tokens.length) cells.push({ x0, y0, x1, y1, tokens });
    }
  }
  return cells;
}
