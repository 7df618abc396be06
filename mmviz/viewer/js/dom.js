// Making elements. Text is always set as text, so that nothing that comes from a user or a model becomes markup.

/** Returns an element with attributes and children. `text` becomes its text, true an empty attribute, false and null none. */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "text") element.textContent = value;
    else if (key === "class") element.className = value;
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value != null) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

/** Sets the text of an element only where it differs, as an unchanged text costs no layout. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Gives a canvas one pixel for each device pixel; `width` and `height` are in CSS pixels. Returns its 2D context. */
export function fitCanvas(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const [columns, rows] = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
  if (canvas.width !== columns || canvas.height !== rows) {
    canvas.width = columns;
    canvas.height = rows;
  }
  const context = canvas.getContext("2d");
  context.setTransform(columns / width, 0, 0, rows / height, 0, 0);
  return context;
}

/** Returns a button whose label, title and `data-part` come from `code`; it calls `act()`. */
export function makeButton(say, code, act) {
  const button = make("button", { type: "button", text: say(code), title: say(code + "-help"), "data-part": code });
  button.addEventListener("click", act);
  return button;
}

/** Returns a group of buttons, one for each [value, text, title]; they call `choose(value)`. */
export function makeSwitch(label, options, choose) {
  const group = make("div", { class: "switch", role: "group", "aria-label": label });
  for (const [value, text, title] of options) {
    const button = make("button", { type: "button", text, title, "data-value": value });
    button.addEventListener("click", () => choose(value));
    group.append(button);
  }
  return group;
}

/** Marks the button of a switch that has `value` as pressed. */
export function press(group, value) {
  for (const button of group.children) button.setAttribute("aria-pressed", String(button.dataset.value === value));
}

/** Returns an invisible button over a token on a canvas, for the keyboard. */
export function makeProxy(stream, token, label) {
  return make("button", {
    type: "button",
    class: "proxy",
    "data-token": token,
    "data-stream": stream,
    "aria-label": label.replace("\n", " "),
  });
}

/** Rounds a position in CSS pixels to a device pixel, so that adjacent rectangles leave no seam. */
export function snapped(value) {
  const ratio = window.devicePixelRatio || 1;
  return Math.round(value * ratio) / ratio;
}

/** Returns the box on the screen of [left, top, width, height] within an element. */
export function onScreen(element, [left, top, width, height]) {
  const box = element.getBoundingClientRect();
  return { left: box.left + left, top: box.top + top, width, height };
}
