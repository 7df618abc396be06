// The viewer as a Streamlit component: it receives containers, and sends views and requests for sections.
import { decode } from "./binaryFormat.js";
import { Viewer } from "./viewer.js";

const VIEW_DELAY = 250; // milliseconds: keys that are held down make one trip to the server
const mounts = new WeakMap(); // by the element that Streamlit gives

/** Mounts or updates the viewer; Streamlit calls it in every run of the script. Returns a function that unmounts it. */
export function streamlitComponent({ data, parentElement, setStateValue, setTriggerValue }) {
  const bytes = data instanceof Uint8Array ? data : new Uint8Array(data);
  const send = { setStateValue, setTriggerValue };
  const mount = mounts.get(parentElement);
  if (mount) {
    mount.send = send;
    if (mount.bytes !== bytes) update(mount, bytes);
    return mount.unmount;
  }
  if (!decode(bytes).header.streams) {
    setTriggerValue("need", { run: null, names: [] }); // more of a run that is not here
    return undefined;
  }
  return mountViewer(parentElement, bytes, send).unmount;
}

function mountViewer(parentElement, bytes, send) {
  const host = document.createElement("div");
  parentElement.append(host);
  const mount = { bytes, send };
  let viewTimer = null;
  const on = {
    view(view) {
      clearTimeout(viewTimer);
      const { header, serial } = mount.viewer;
      const value = { ...view, run: header.run, serial };
      viewTimer = setTimeout(() => mount.send.setStateValue("view", value), VIEW_DELAY);
    },
    need: (names) => mount.send.setTriggerValue("need", { run: mount.viewer?.header.run ?? null, names }),
  };
  mount.start = (container) => (mount.viewer = new Viewer(host, container, on));
  mount.unmount = () => {
    clearTimeout(viewTimer);
    mount.viewer.destroy();
    host.remove();
    mounts.delete(parentElement);
  };
  mount.start(decode(bytes));
  mounts.set(parentElement, mount);
  return mount;
}

function update(mount, bytes) {
  mount.bytes = bytes;
  const container = decode(bytes);
  if (container.header.streams && container.header.language !== mount.viewer.header.language) {
    mount.viewer.destroy(); // its buttons are in another language
    mount.start(container);
  } else mount.viewer.show(container);
}
