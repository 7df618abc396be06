// Works out steps of a run: a container, and a JSON list of what is asked; prints what was found for each, as JSON.
import { readFileSync, writeFileSync } from "node:fs";

import { decode } from "../../mmviz/viewer/js/data.js";
import { AllSteps, differences, work } from "../../mmviz/viewer/js/steps.js";

const [container, asked, answer] = process.argv.slice(2);
const data = decode(new Uint8Array(readFileSync(container)));
const all = new AllSteps();
all.take(data);
const found = JSON.parse(readFileSync(asked, "utf8")).map(({ map, head, query, edits }) => {
  const steps = all.get(map);
  const given = edits && { ...edits, blocked: new Set(edits.blocked), scores: new Map(edits.scores) };
  const worked = work(steps, head, query, given);
  const plain = Object.entries(worked).map(([name, value]) => [name, ArrayBuffer.isView(value) ? [...value] : value]);
  return { ...Object.fromEntries(plain), differences: differences(steps, head, query, worked) };
});
writeFileSync(answer, JSON.stringify(found)); // infinities become null
