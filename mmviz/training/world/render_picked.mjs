// Render SVG files, each cropped to what is drawn, to PNG files.
//
//   node render_picked.mjs NODE_MODULES_DIR SIZE < LIST
//
// LIST has a line for each drawing: the SVG file, a tab, the PNG file (the longer side SIZE pixels).
import fs from "node:fs";
import path from "node:path";
import { createRequire } from "node:module";

const [nodeModules, sizeText] = process.argv.slice(2);
const size = Number(sizeText);
if (!nodeModules || !(size > 0)) {
  console.error("usage: node render_picked.mjs NODE_MODULES_DIR SIZE < LIST");
  process.exit(2);
}
const { Resvg } = createRequire(path.join(path.resolve(nodeModules), "art.js"))("@resvg/resvg-js");

for (const line of fs.readFileSync(0, "utf8").trim().split("\n")) {
  const [svgFile, pngFile] = line.split("\t");
  const svg = fs.readFileSync(svgFile);
  const box = new Resvg(svg).getBBox();
  const mode = box.width >= box.height ? "width" : "height";
  const drawing = new Resvg(svg, { fitTo: { mode, value: size }, font: { loadSystemFonts: false } });
  drawing.cropByBBox(box);
  fs.writeFileSync(pngFile, drawing.render().asPng());
}
