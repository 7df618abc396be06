// The container in which Python sends a run: see format_schema.json and binary_format.py.
import { FORMAT_SCHEMA } from "./formatSchema.js";

const ARRAYS = { uint8: Uint8Array, uint16: Uint16Array, int16: Int16Array, float32: Float32Array };

/**
 * Returns the `header` of a container, and `section(name)`, which returns a typed array with its `shape` (and its
 * `decade`, for codes), or null where there is no such section. Throws for bytes that are no container of this version.
 */
export function decode(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const magic = String.fromCharCode(...bytes.subarray(0, 4));
  if (magic !== FORMAT_SCHEMA.magic || view.getUint32(4, true) !== FORMAT_SCHEMA.version) {
    throw new Error("These are not the data of this viewer, or of another version of it.");
  }
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(12, 12 + view.getUint32(8, true))));
  const arrays = new Map();
  function section(name) {
    const entry = header.sections[name];
    if (!entry) return null;
    if (!arrays.has(name)) {
      const ArrayType = ARRAYS[FORMAT_SCHEMA.sections[name.split("/")[0]].type];
      const count = entry.shape.reduce((size, side) => size * side, 1);
      const start = bytes.byteOffset + entry.offset;
      const size = ArrayType.BYTES_PER_ELEMENT;
      // a view where the bytes are aligned in memory, else a copy
      const values =
        start % size === 0
          ? new ArrayType(bytes.buffer, start, count)
          : new ArrayType(bytes.slice(entry.offset, entry.offset + count * size).buffer);
      arrays.set(name, Object.assign(values, { shape: entry.shape, decade: entry.decade }));
    }
    return arrays.get(name);
  }
  return { header, section };
}
