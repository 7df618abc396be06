// The viewer as a document of its own: its data are part of the document, and nothing is fetched.
import { decode } from "./binaryFormat.js";
import { make } from "./dom.js";
import { fromFragment, toFragment } from "./viewState.js";
import { Viewer } from "./viewer.js";

/** Unpacks the data inside `page`, a document, and shows the viewer in its `#mmviz`. */
export async function standalone(page) {
  const packed = atob(page.getElementById("mmviz-data").textContent.trim());
  const deflated = new Uint8Array(packed.length);
  for (let at = 0; at < packed.length; at++) deflated[at] = packed.charCodeAt(at); // ten times as fast as from()
  const inflated = new Blob([deflated]).stream().pipeThrough(new DecompressionStream("deflate"));
  const data = decode(await readAll(inflated));
  const { header } = data;
  const view = fromFragment(header, page.location?.hash.slice(1) ?? "");
  if (view) Object.assign(header, { view });
  const host = page.getElementById("mmviz");
  const { about } = header;
  const say = (code, values) => header.texts[code].replace(/\{(\w+)\}/g, (_, name) => values[name]);
  const answers = header.answers.map(([label, probability]) => `${label} ${(100 * probability).toFixed(1)} %`);
  const others = answers.slice(1).join(say("comma", {}));
  const otherAnswers = others && make("span", { class: "other-answers", text: say("other-answers", { answers: others }) });
  host.append(
    make(
      "header",
      { class: "about" },
      make("h1", { text: about.title }),
      ...about.banners.map((text) => make("p", { class: "banner", text })),
      otherAnswers && make("p", {}, otherAnswers),
      make("p", { class: "provenance", text: about.provenance }),
      ...about.notices.map((text) => make("p", { class: "notice", text })),
    ),
  );
  const on = {
    view(next) {
      // a document without an address of its own, such as a frame in a notebook, keeps none
      if (page.location.protocol !== "about:") page.defaultView.history.replaceState(null, "", "#" + toFragment(next));
    },
  };
  new Viewer(host, data, on);
  host.append(make("p", { class: "provenance", text: say("disclaimer", {}) }));
}

/** Returns all bytes of a stream. */
async function readAll(stream) {
  const chunks = [];
  let length = 0;
  const reader = stream.getReader();
  for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
    chunks.push(chunk.value);
    length += chunk.value.length;
  }
  const all = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}
