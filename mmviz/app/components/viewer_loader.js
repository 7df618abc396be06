// A viewer of the page, whose script and style sheet viewer_code.js hands over: they may come before this or after it.
const viewers = (globalThis.mmvizViewers ??= new Map());
if (!viewers.has("DIGEST")) {
  let arrive;
  const code = new Promise((resolve) => (arrive = resolve));
  viewers.set("DIGEST", { code, arrive });
}
const { component, style } = await viewers.get("DIGEST").code;

export default (mount) => {
  const { parentElement } = mount;
  if (!parentElement.querySelector("style[data-mmviz]")) {
    const sheet = document.createElement("style");
    sheet.dataset.mmviz = "";
    sheet.textContent = style;
    parentElement.prepend(sheet);
  }
  return component(mount);
};
