// Computes attention steps of a run: reads a container and a JSON list of requests, writes the results as JSON.
import { readFileSync, writeFileSync } from "node:fs";

import { computeAttention, differences, StepsStore } from "../../mmviz/viewer/js/attentionSteps.js";
import { decode } from "../../mmviz/viewer/js/binaryFormat.js";

const [containerPath, requestsPath, resultsPath] = process.argv.slice(2);
const store = new StepsStore();
store.addSections(decode(new Uint8Array(readFileSync(containerPath))));
const requests = JSON.parse(readFileSync(requestsPath, "utf8"));
const results = requests.map(({ map, head, query, edits: written }) => {
  const steps = store.get(map);
  const edits = written && { ...written, blocked: new Set(written.blocked), scores: new Map(written.scores) };
  const computed = computeAttention(steps, head, query, edits);
  const lists = Object.entries(computed).map(([name, value]) => [name, ArrayBuffer.isView(value) ? [...value] : value]);
  return { ...Object.fromEntries(lists), differences: differences(steps, head, query, computed) };
});
writeFileSync(resultsPath, JSON.stringify(results)); // infinities become null
