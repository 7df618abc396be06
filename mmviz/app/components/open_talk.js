// A button that opens a talk in a window of its own. The window opens with the click, as browsers want it, and waits.
const CSS = `
button { font: inherit; font-size: 14px; padding: 6px 12px; border: 1px solid var(--st-border-color); cursor: pointer;
  border-radius: var(--st-button-radius, 8px); background: transparent; color: var(--st-text-color); width: 100%; }
button:hover, button:focus-visible { border-color: var(--st-primary-color); }
a { color: var(--st-link-color); font-size: 14px; }`;
const waiting = new WeakMap(); // the window, and the number of the latest talk, by the element of the component

export default function openTalk({ data, parentElement, setTriggerValue }) {
  const state = waiting.get(parentElement) ?? { shown: data.number, window: null };
  waiting.set(parentElement, state);
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = data.label;
  button.title = data.help;
  button.onclick = () => {
    state.window = window.open("", "_blank");
    if (state.window) state.window.document.title = data.label;
    setTriggerValue("open", true);
  };
  const style = document.createElement("style");
  style.textContent = CSS;
  const parts = [style, button];
  if (data.html && data.number !== state.shown) {
    state.shown = data.number;
    const url = URL.createObjectURL(new Blob([data.html], { type: "text/html" }));
    if (state.window && !state.window.closed) state.window.location.replace(url);
    else state.link = url; // a browser that blocks windows
  }
  if (state.link) {
    const link = document.createElement("a");
    Object.assign(link, { href: state.link, target: "_blank", textContent: data.link });
    parts.push(link);
  }
  parentElement.replaceChildren(...parts);
}
