// The viewer as a document of its own: its data are part of the document, and nothing is fetched.
import { decode } from "./binaryFormat.js";
import { fromFragment, toFragment } from "./viewState.js";
import { Viewer } from "./viewer.js";

/** Shows the viewer in `page`, a document, in place of its still; the still stays where the viewer cannot start. */
export async function standalone(page) {
  const shown = new CSSStyleSheet(); // not an attribute, which a saved page would keep, and show nothing without scripts
  try {
    const data = await unpack(page);
    shown.replaceSync(".mmviz-still { display: none; } #mmviz-viewer { display: block; }");
    page.adoptedStyleSheets = [shown];
    startViewer(page, data);
  } catch (problem) {
    shown.replaceSync("");
    const note = page.querySelector("[data-failed]");
    note.textContent = note.dataset.failed;
    throw problem;
  }
}

/** Returns the data inside `page`. */
async function unpack(page) {
  const packed = atob(page.getElementById("mmviz-data").textContent.trim());
  const deflated = new Uint8Array(packed.length);
  for (let at = 0; at < packed.length; at++) deflated[at] = packed.charCodeAt(at); // ten times as fast as from()
  const inflated = new Blob([deflated]).stream().pipeThrough(new DecompressionStream("deflate"));
  return decode(await readAll(inflated));
}

function startViewer(page, data) {
  const { header } = data;
  const view = fromFragment(header, page.location?.hash.slice(1) ?? "");
  if (view) Object.assign(header, { view });
  const host = page.getElementById("mmviz-viewer");
  host.replaceChildren(); // a saved page holds the viewer that was shown
  const on = {
    view(next) {
      try {
        page.defaultView.history.replaceState(null, "", "#" + toFragment(next));
      } catch {
        // a document without an address of its own, such as a frame in a notebook, keeps none
      }
    },
  };
  new Viewer(host, data, on);
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
