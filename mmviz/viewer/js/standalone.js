// The viewer as a document of its own: the data lie in it, and nothing is fetched.
import { decode } from "./data.js";
import { make } from "./dom.js";
import { fromFragment, toFragment } from "./select.js";
import { Viewer } from "./viewer.js";

/** Unpack the data of `document` and show them in its `#mmviz`. */
export async function standalone(page) {
  const packed = atob(page.getElementById("mmviz-data").textContent.trim());
  const deflated = new Uint8Array(packed.length);
  for (let at = 0; at < packed.length; at++) deflated[at] = packed.charCodeAt(at); // ten times as fast as from()
  const inflated = new Blob([deflated]).stream().pipeThrough(new DecompressionStream("deflate"));
  const data = decode(await readAll(inflated));
  const { header } = data;
  const wanted = fromFragment(header, page.location?.hash.slice(1) ?? "");
  if (wanted) Object.assign(header, { view: wanted });
  const host = make("main", { id: "mmviz" });
  page.body.append(host);
  const { about } = header;
  const say = (code, values) => header.texts[code].replace(/\{(\w+)\}/g, (_, name) => values[name]);
  const best = header.answers.map(([label, probability]) => `${label} ${(100 * probability).toFixed(1)} %`);
  const rest =
    best.length > 1 ? make("span", { class: "rest", text: say("also", { answers: best.slice(1).join(say("comma", {})) }) }) : null;
  host.append(
    make(
      "header",
      { class: "about" },
      make("h1", { text: about.title }),
      ...about.banners.map((text) => make("p", { class: "banner", text })),
      rest && make("p", {}, rest),
      make("p", { class: "made", text: about.made }),
      ...about.notices.map((text) => make("p", { class: "notice", text })),
    ),
  );
  const on = {
    view(view) {
      // a document without an address of its own, such as a frame in a notebook, keeps none
      if (page.location.protocol !== "about:") page.defaultView.history.replaceState(null, "", "#" + toFragment(view));
    },
  };
  new Viewer(host, data, on);
  host.append(make("p", { class: "made", text: say("honest", {}) }));
}

async function readAll(stream) {
  const chunks = [];
  let length = 0;
  const reader = stream.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    chunks.push(part.value);
    length += part.value.length;
  }
  const all = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}
