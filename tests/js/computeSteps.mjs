// Computes attention steps as the viewer does. Arguments: a container, a JSON list of queries, and the file for results.
import { readFileSync, writeFileSync } from "node:fs";

import { StepsStore, computeAttention, differences } from "../../mmviz/viewer/js/attentionSteps.js";
import { decode } from "../../mmviz/viewer/js/container.js";

const [containerPath, queriesPath, resultsPath] = process.argv.slice(2);
const store = new StepsStore();
store.addSections(decode(new Uint8Array(readFileSync(containerPath))));
const results = JSON.parse(readFileSync(queriesPath, "utf8")).map(({ map, head, query, edits }) => {
  const steps = store.get(map);
  const parsed = edits && { ...edits, blocked: new Set(edits.blocked), scores: new Map(edits.scores) };
  const computed = computeAttention(steps, head, query, parsed);
  const plain = Object.entries(computed).map(([name, value]) => [name, ArrayBuffer.isView(value) ? [...value] : value]);
  return { ...Object.fromEntries(plain), differences: differences(steps, head, query, computed) };
});
writeFileSync(resultsPath, JSON.stringify(results)); // infinities become null
