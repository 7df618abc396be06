// The viewer in Streamlit: bytes come in, choices go out.
import { decode } from "./data.js";
import { Viewer } from "./viewer.js";

const QUIET = 250; // milliseconds: keys that are held down make one trip to the server
const here = new WeakMap();

/** What Streamlit calls at every run of its script. */
export function streamlitComponent({ data, parentElement, setStateValue, setTriggerValue }) {
  const bytes = data instanceof Uint8Array ? data : new Uint8Array(data);
  let found = here.get(parentElement);
  const tell = { setStateValue, setTriggerValue };
  if (!found) {
    if (!decode(bytes).header.streams) {
      setTriggerValue("need", { run: null, names: [] }); // a part of a run that is not here
      return undefined;
    }
    const host = document.createElement("div");
    parentElement.append(host);
    found = { bytes, tell };
    let soon = null;
    const on = {
      view(view) {
        clearTimeout(soon);
        const { header, serial } = found.viewer;
        const told = { ...view, run: header.run, serial };
        soon = setTimeout(() => found.tell.setStateValue("view", told), QUIET);
      },
      need: (names) => found.tell.setTriggerValue("need", { run: found.viewer?.header.run ?? null, names }),
    };
    found.begin = (sent) => (found.viewer = new Viewer(host, sent, on));
    found.begin(decode(bytes));
    found.close = () => {
      clearTimeout(soon);
      found.viewer.close();
      host.remove();
      here.delete(parentElement);
    };
    here.set(parentElement, found);
  } else {
    found.tell = tell;
    if (found.bytes !== bytes) {
      found.bytes = bytes;
      const sent = decode(bytes);
      if (sent.header.streams && sent.header.language !== found.viewer.header.language) {
        found.viewer.close(); // its buttons are in another language
        found.begin(sent);
      } else found.viewer.show(sent);
    }
  }
  return found.close;
}
