// The container in which Python sends a run: see description.json.
import { DESCRIPTION } from "./description.js";

const ARRAYS = { uint8: Uint8Array, uint16: Uint16Array, int16: Int16Array, float32: Float32Array };

/** The header and the sections of a container; `section(name)` is a typed array with its `shape`, null where absent. */
export function decode(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const magic = String.fromCharCode(...bytes.subarray(0, 4));
  if (magic !== DESCRIPTION.magic || view.getUint32(4, true) !== DESCRIPTION.version) {
    throw new Error("These are not the data of this viewer, or of another version of it.");
  }
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(12, 12 + view.getUint32(8, true))));
  const found = new Map();
  function section(name) {
    const about = header.sections[name];
    if (!about) return null;
    if (!found.has(name)) {
      const kind = ARRAYS[DESCRIPTION.sections[name.split("/")[0]].type];
      const count = about.shape.reduce((size, side) => size * side, 1);
      const start = bytes.byteOffset + about.offset;
      // a view where the bytes lie evenly in memory, else a copy
      const values =
        start % kind.BYTES_PER_ELEMENT === 0
          ? new kind(bytes.buffer, start, count)
          : new kind(bytes.slice(about.offset, about.offset + count * kind.BYTES_PER_ELEMENT).buffer);
      found.set(name, Object.assign(values, { shape: about.shape, decade: about.decade }));
    }
    return found.get(name);
  }
  return { header, section };
}
