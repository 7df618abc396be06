// How amounts are printed: two or three significant digits, rounded as Python rounds. No DOM.

const SMALLEST_WRITTEN = 0.0001;
let areSmallWritten = false; // whether amounts below SMALLEST_WRITTEN are written out

/** Writes amounts below 0.0001 as 4.2e-5 from now on, or as "<0.0001": among thousands of tokens most are so small. */
export function writeSmallAmounts(areWritten) {
  areSmallWritten = areWritten;
}

/** Returns two significant digits: 0.31, 0.0042; "<0.0001" (or 4.2e-5) below that, "0" for exactly 0. */
export function twoDigits(amount) {
  if (amount === 0) return "0";
  const size = Math.abs(amount);
  if (size < SMALLEST_WRITTEN) return areSmallWritten ? amount.toExponential(1) : "<0.0001";
  return size >= 9.95 ? integer(amount) : significant(amount, 2);
}

/** Returns three significant digits. */
export function threeDigits(amount) {
  if (amount === 0) return "0";
  if (Math.abs(amount) < SMALLEST_WRITTEN) return areSmallWritten ? amount.toExponential(2) : "<0.0001";
  return significant(amount, 3);
}

/** Returns `twoDigits` with the sign always written, for differences. */
export function signedTwoDigits(amount) {
  if (amount === 0) return "0";
  return (amount < 0 ? "−" : "+") + twoDigits(Math.abs(amount));
}

/** Returns a share, 0 to 1, in percent with one decimal, as every probability is written. */
export function percent(share) {
  return `${(100 * share).toFixed(1)}%`;
}

/** Returns two decimals of a number from -1 to 1, rounded towards 0: 1.00 stands for nothing less. */
export function roundedDown(value) {
  return (Math.trunc(100 * value + Math.sign(value) * 1e-9) / 100).toFixed(2);
}

/** Returns a number with at most `digits` significant digits; very small and very large ones as 1.2e-7. */
export function formatNumber(value, digits = 4) {
  if (value === 0) return "0";
  if (!Number.isFinite(value)) return value < 0 ? "−∞" : "∞";
  const size = Math.abs(value);
  const text = size < 0.001 || size >= 1e5 ? size.toExponential(1) : String(Number(size.toPrecision(digits)));
  return (value < 0 ? "−" : "") + text;
}

/** Returns `count` significant digits, exact halves rounded to the even digit. */
function significant(amount, count) {
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
  const text = exponent >= 0 && places === 0 ? String(kept * 10 ** (exponent - count + 1)) : fixed(kept, places);
  return amount < 0 ? "-" + text : text;
}

function fixed(kept, places) {
  const text = String(kept).padStart(places + 1, "0");
  return places ? `${text.slice(0, -places)}.${text.slice(-places)}` : text;
}

function integer(amount) {
  const below = Math.floor(amount);
  const rest = amount - below;
  return String(rest > 0.5 || (rest === 0.5 && below % 2) ? below + 1 : below);
}
