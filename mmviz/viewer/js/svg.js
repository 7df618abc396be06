// Elements of pictures in SVG.

let svgNamespace = null; // as the browser has it: a document that needs no network holds no address

/** Returns an element of SVG with attributes. */
export function makeSvg(name, attributes) {
  svgNamespace ??= new DOMParser().parseFromString("<svg></svg>", "text/html").body.firstChild.namespaceURI;
  const element = document.createElementNS(svgNamespace, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

/** Returns a text at a place. */
export function makeText(x, y, text, attributes) {
  const element = makeSvg("text", { x, y, ...attributes });
  element.textContent = text;
  return element;
}
