// Render the drawings of a word list from the Iconify emoji packages to PNG files.
//
//   node render_sprites.mjs NODE_MODULES_DIR CONCEPTS_TSV OUT_DIR SIZE
//
// Writes OUT_DIR/{style}/{word}.png (SIZE x SIZE pixels) and OUT_DIR/meta.json:
// {style: {package, version, license, license_url, author, url, words, missing}},
// and OUT_DIR/points.json: {word: [code points of its emoji, as "1f436"]}.
import fs from "node:fs";
import path from "node:path";
import { createRequire } from "node:module";

const STYLES = [
  "noto", "noto-v1", "fluent-emoji-flat", "fluent-emoji",
  "twemoji", "emojione", "streamline-emojis", "fxemoji",
  "fluent-emoji-high-contrast", "emojione-monotone",
];

// Two packages have names of their own and no code points: word -> icon name,
// or null to leave the word out.
const OVERRIDES = {
  "noto-v1": { cup: null, laptop: null },  // resvg cannot render its cup; its laptop is a desktop computer
  fxemoji: {
    apple: "redapple", backpack: "schoolsatchel", boat: "speedboat", book: "openbook",
    cake: "birthdaycake", camel: "dromedarycamel", castle: "europeancastle", cat: "cat",
    clock: "alarmclock", computer: "desktopcomputer", corn: "earofmaize", cow: "cowface", cup: "hotbeverage",
    dog: "dog", dragon: "dragonside", ball: "soccerball", fork: "forkandknife", fox: "foxsmiling", hat: "tophat", horse: "horseface", house: "housebuilding",
    keyboard: "wiredkeyboard", lamp: "lightbulb", laptop: null, lock: "lock", monkey: "monkeyface", moon: "crescentmoon", mouse: "mouse",
    panda: "pandaface", pen: "lowerleftfountainpen", pig: "pig", pizza: "sliceofpizza", rabbit: "bunny",
    ruler: "straightruler", scissors: "blackscissors", snowman: "snowmanwithoutsnow",
    shirt: "mansshirt", shoe: "mensshoe", star: "star", sun: "sunrays", telephone: "blacktelephone",
    tiger: "tiger", train: "steamlocomotive", tree: "evergreen", truck: "deliverytruck", umbrella: "umbrellawithraindrops",
    wolf: "wolfface",
  },
  "streamline-emojis": {
    backpack: "school-backpack", bear: "bear-face", bird: "bird-1", boat: "speedboat",
    cake: "birthday-cake-1", cup: "teacup-without-handle", glasses: "glasses-1", pen: "fountain-pen",
    cactus: "cactus-1", cloud: "cloud-1", doughnut: "doughnut-1",
    fish: "tropical-fish", fox: "fox-face-1", frog: "frog-face",
    hamburger: "hamburger-1", house: "house-with-garden", lion: "lion-face",
    panda: "panda-face", penguin: "penguin-1", pizza: "pizza-1",
    ring: "ring-1", robot: "robot-face-1", strawberry: "strawberry-1",
    sun: "sun-with-face", unicorn: "unicorn-face",
    watermelon: "watermelon-1", whale: "spouting-whale", wolf: "wolf-face",
  },
};

const [nodeModules, conceptsFile, outDir, sizeText] = process.argv.slice(2);
const size = Number(sizeText);
if (!nodeModules || !conceptsFile || !outDir || !(size > 0)) {
  console.error("usage: node render_sprites.mjs NODE_MODULES_DIR CONCEPTS_TSV OUT_DIR SIZE");
  process.exit(2);
}
const require = createRequire(path.join(path.resolve(nodeModules), "art.js"));
const { Resvg } = require("@resvg/resvg-js");

const readJson = (...parts) =>
  JSON.parse(fs.readFileSync(path.join(nodeModules, "@iconify-json", ...parts), "utf8"));
const readChars = (style) =>  // a package whose names are enough has none
  fs.existsSync(path.join(nodeModules, "@iconify-json", style, "chars.json")) ? readJson(style, "chars.json") : {};
const bare = (codePoints) => codePoints.toLowerCase().replace(/-fe0f/g, "");

/** The icon called `name` with its aliases followed, or null. */
function resolve(set, name) {
  if (set.icons[name]) return { ...set.icons[name] };
  const alias = set.aliases?.[name];
  if (!alias) return null;
  const icon = resolve(set, alias.parent);
  return icon && { ...icon, ...alias };
}

/** A whole SVG document of an icon. */
function svgOf(set, icon) {
  const [l, t] = [icon.left ?? set.left ?? 0, icon.top ?? set.top ?? 0];
  const [w, h] = [icon.width ?? set.width ?? 16, icon.height ?? set.height ?? 16];
  const moves = [];
  if (icon.hFlip) moves.push(`translate(${2 * l + w} 0) scale(-1 1)`);
  if (icon.vFlip) moves.push(`translate(0 ${2 * t + h}) scale(1 -1)`);
  if (icon.rotate) moves.push(`rotate(${90 * icon.rotate} ${l + w / 2} ${t + h / 2})`);
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" ` +
    `viewBox="${l} ${t} ${w} ${h}" width="${w}" height="${h}">` +
    `<g transform="${moves.join(" ")}">${icon.body}</g></svg>`
  );
}

const concepts = fs.readFileSync(conceptsFile, "utf8").trim().split(/\r?\n/).slice(1)
  .map((line) => line.split("\t"));

// icon name -> code points, by the noto package
const points = new Map();
const canonical = (set, name) => {
  while (set.aliases?.[name]) name = set.aliases[name].parent;
  return name;
};
const noto = readJson("noto", "icons.json");
for (const [code, name] of Object.entries(readJson("noto", "chars.json"))) {
  const key = canonical(noto, name);
  points.set(key, [...(points.get(key) ?? []), bare(code)]);
}

const meta = {};
for (const style of STYLES) {
  const set = readJson(style, "icons.json");
  const info = readJson(style, "info.json");
  const chars = Object.fromEntries(
    Object.entries(readChars(style)).map(([k, v]) => [bare(k), v]));
  fs.mkdirSync(path.join(outDir, style), { recursive: true });
  const [words, missing] = [[], []];
  for (const [word, iconName] of concepts) {
    const own = OVERRIDES[style]?.[word];
    let icon = null;
    if (own !== null) {
      const codes = points.get(canonical(noto, iconName)) ?? [];
      const names = own ? [own] : [iconName, ...codes.map((c) => chars[c]).filter(Boolean)];
      for (const name of names) icon ??= resolve(set, name);
    }
    if (!icon) {
      missing.push(word);
      continue;
    }
    const fit = (icon.width ?? set.width ?? 16) >= (icon.height ?? set.height ?? 16);
    const image = new Resvg(svgOf(set, icon), {
      fitTo: { mode: fit ? "width" : "height", value: size },
      font: { loadSystemFonts: false },
    }).render();
    fs.writeFileSync(path.join(outDir, style, `${word}.png`), image.asPng());
    words.push(word);
  }
  meta[style] = {
    package: `@iconify-json/${style}`,
    version: readJson(style, "package.json").version,
    license: info.license.spdx,
    license_url: info.license.url,
    author: info.author.name,
    url: info.author.url,
    words,
    missing,
  };
  console.log(`${style}: ${words.length} words; missing: ${missing.join(" ") || "none"}`);
}
const pointsOf = concepts.map(([word, icon]) => [word, points.get(canonical(noto, icon)) ?? []]);
fs.writeFileSync(path.join(outDir, "points.json"), JSON.stringify(Object.fromEntries(pointsOf)));
fs.writeFileSync(path.join(outDir, "meta.json"), JSON.stringify(meta, null, 1));
