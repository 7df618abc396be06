// 16-bit quantization of weights, read. See codes in format_schema.json, and quantization.py, which writes them.

const CODES = 64000;
const LINEAR = 10000; // codes below it are multiples of the unit
const CODES_PER_DECADE = 9000;
const tables = new Map();

/** Returns the amounts of all codes, [code], of a map whose largest amount lies in [10^decade, 10^(decade + 1)). */
export function dequantizationTable(decade) {
  let table = tables.get(decade);
  if (!table) {
    table = Float64Array.from({ length: CODES }, (_, code) => dequantize(code, decade));
    tables.set(decade, table);
  }
  return table;
}

/** Returns the amount of one code: one division of integers, so the nearest double for decades from -13. */
export function dequantize(code, decade) {
  const power = 9 - decade;
  let units = code;
  if (code >= LINEAR) {
    const above = code - LINEAR;
    units = (1000 + (above % CODES_PER_DECADE)) * 10 ** (Math.floor(above / CODES_PER_DECADE) + 1);
  }
  return power >= 0 ? units / 10 ** power : units * 10 ** -power;
}
