// Colour scales: those of figures/colour_scale.py, in 256 steps.

const CIVIDIS = "00224e 123570 3b496c 575d6d 707173 8a8678 a59c74 c3b369 e1cc55 fee838".split(" ");
const PURPLE_ORANGE = "2d004b 542788 8073ac b2abd2 f7f7f7 fdb863 e08214 b35806 7f3b08".split(" ");
export const DIMMED_GROUND = 50; // the grey, of 255, that the rest of a dimmed picture is made of: dark ones do not go black
/** Light that is left where the amount is 0, in a dark and in a light style: a picture must stay visible on its ground. */
export const LIGHT_FLOOR = { dark: 0.35, light: 0.45 };
export const HEAT = 0.6; // opacity of heat over an input
export const STEPS = 255;

/** Colours of the modalities (Okabe and Ito 2008), never used for amounts. */
export const MODALITY_COLOURS = { image: "#0072b2", text: "#e69f00", audio: "#009e73", special: "#7f7f7f" };

/** Returns the colours between `stops` (hex), by step: `rgb`, `css`, `packed` for image data, and `ink` for text on them. */
function ramp(stops) {
  const parts = stops.map((stop) => [0, 2, 4].map((at) => parseInt(stop.slice(at, at + 2), 16)));
  const steps = Array.from({ length: STEPS + 1 }, (_, step) => {
    const at = (step / STEPS) * (parts.length - 1);
    const below = Math.min(Math.floor(at), parts.length - 2);
    return parts[below].map((part, channel) => Math.round(part + (parts[below + 1][channel] - part) * (at - below)));
  });
  return {
    rgb: steps,
    css: steps.map((step) => `rgb(${step.join(",")})`),
    ink: steps.map(inkOn),
    packed: Uint32Array.from(steps, ([r, g, b]) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0),
    gradient: `linear-gradient(90deg,${stops.map((stop) => "#" + stop).join(",")})`,
  };
}

/** Returns the contrast of two colours [r, g, b], from 1 to 21 (WCAG 2.1). */
export function contrast(first, second) {
  const [darker, lighter] = [luminance(first), luminance(second)].sort((a, b) => a - b);
  return (lighter + 0.05) / (darker + 0.05);
}

function luminance(rgb) {
  const [r, g, b] = rgb.map((part) => {
    const share = part / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function inkOn(rgb) {
  return contrast(rgb, [0, 0, 0]) >= contrast(rgb, [255, 255, 255]) ? "#000" : "#fff";
}

/** Amounts from 0 up: cividis (Nuñez, Anderton and Renslow 2018). */
export const AMOUNTS = ramp(CIVIDIS);
/** Differences and ratios: purple below, orange above, safe for colour-blind readers (ColorBrewer PuOr). */
export const DIFFERENCES = ramp(PURPLE_ORANGE);

/** Returns the index of an amount on a colour scale from 0 to `largest`; of a difference, from -largest to largest. */
export function colourIndex(amount, largest, isDifference) {
  const share = isDifference ? (amount / largest + 1) / 2 : amount / largest;
  return Math.round(STEPS * Math.min(1, Math.max(0, share)));
}

/** Returns where an amount lies on a scale from 0 to `largest`, from 0 to 1. */
export function shareOfScale(amount, largest) {
  return Math.min(1, Math.max(0, amount / largest));
}

/** Returns the opacity of the black veil over an input: the light that is left rises linearly with `amount`, from `floor` to 1. */
export function veil(amount, largest, floor) {
  return 1 - (floor + (1 - floor) * shareOfScale(amount, largest));
}
