// 16-bit codes of amounts, and how amounts are printed. See description.json, and codes.py, which writes them.

export const CODES = 64000;
const LINEAR = 10000; // codes below it are multiples of the unit
const A_DECADE = 9000;
const tables = new Map();

/** The amounts of all codes of a plane whose largest amount lies in [10^decade, 10^(decade + 1)). */
export function lut(decade) {
  let table = tables.get(decade);
  if (!table) {
    table = Float64Array.from({ length: CODES }, (_, code) => valueOf(code, decade));
    tables.set(decade, table);
  }
  return table;
}

/** The amount of one code: one division of whole numbers, so the nearest double for decades from -13. */
export function valueOf(code, decade) {
  const power = 9 - decade;
  let whole = code;
  if (code >= LINEAR) {
    const above = code - LINEAR;
    whole = (1000 + (above % A_DECADE)) * 10 ** (Math.floor(above / A_DECADE) + 1);
  }
  return power >= 0 ? whole / 10 ** power : whole * 10 ** -power;
}

const WRITTEN = 0.0001;
let isFine = false; // whether amounts below WRITTEN are written out

/** Write amounts below 0.0001 as 4.2e-5 from now on, or as "<0.0001": among thousands of tokens most are so small. */
export function writeFine(fine) {
  isFine = fine;
}

/** Two digits that count: 0.31, 0.0042; "<0.0001" (or 4.2e-5) for less, "0" for none. */
export function short(amount) {
  if (amount === 0) return "0";
  const size = Math.abs(amount);
  if (size < WRITTEN) return isFine ? amount.toExponential(1) : "<0.0001";
  return size >= 9.95 ? whole(amount) : digits(amount, 2);
}

/** Three digits that count. */
export function three(amount) {
  if (amount === 0) return "0";
  if (Math.abs(amount) < WRITTEN) return isFine ? amount.toExponential(2) : "<0.0001";
  return digits(amount, 3);
}

/** `short` with its sign always written, for differences. */
export function signed(amount) {
  if (amount === 0) return "0";
  const size = Math.abs(amount);
  return (amount < 0 ? "−" : "+") + short(size);
}

/** `count` digits that count, exact halves to the even digit, as Python rounds. */
function digits(amount, count) {
  const [mantissa, power] = Math.abs(amount).toExponential(40).split("e");
  const all = mantissa.replace(".", "");
  let kept = Number(all.slice(0, count));
  const rest = all.slice(count);
  const half = "5".padEnd(rest.length, "0");
  if (rest > half || (rest === half && kept % 2)) kept += 1;
  let exponent = Number(power);
  if (kept === 10 ** count) {
    kept /= 10;
    exponent += 1;
  }
  const places = Math.max(0, count - 1 - exponent);
  const written = exponent >= 0 && places === 0 ? String(kept * 10 ** (exponent - count + 1)) : fixed(kept, places);
  return amount < 0 ? "-" + written : written;
}

function fixed(kept, places) {
  const written = String(kept).padStart(places + 1, "0");
  return places ? `${written.slice(0, -places)}.${written.slice(-places)}` : written;
}

function whole(amount) {
  const below = Math.floor(amount);
  const rest = amount - below;
  return String(rest > 0.5 || (rest === 0.5 && below % 2) ? below + 1 : below);
}
