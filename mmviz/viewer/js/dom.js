// Making elements. Text is always set as text: nothing that comes from a user or a model is read as markup.

/** An element with attributes and children; `text` becomes its text. */
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

/** Set the text only where it is another one: a text that stays costs no layout. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A canvas as large as its place on the screen has device pixels; `width` and `height` in CSS pixels. */
export function fitCanvas(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const [across, down] = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
  if (canvas.width !== across || canvas.height !== down) {
    canvas.width = across;
    canvas.height = down;
  }
  const context = canvas.getContext("2d");
  context.setTransform(across / width, 0, 0, down / height, 0, 0);
  return context;
}

/** A button that is called, explained and found by `code`: `act()` when it is pressed. */
export function makeButton(say, code, act) {
  const button = make("button", { type: "button", text: say(code), title: say(code + "-help"), "data-part": code });
  button.addEventListener("click", act);
  return button;
}

/** A group of buttons of which one is pressed: `choose(value)` when another one is wanted. */
export function makeSwitch(label, options, choose) {
  const group = make("div", { class: "switch", role: "group", "aria-label": label });
  for (const [value, text, title] of options) {
    const button = make("button", { type: "button", text, title, "data-value": value });
    button.addEventListener("click", () => choose(value));
    group.append(button);
  }
  return group;
}

/** Show which of a switch's buttons is pressed. */
export function press(group, value) {
  for (const button of group.children) button.setAttribute("aria-pressed", String(button.dataset.value === value));
}

/** A hidden button for a thing on a canvas, to reach it by keyboard. */
export function makeProxy(stream, token, label) {
  return make("button", {
    type: "button",
    class: "proxy",
    "data-token": token,
    "data-stream": stream,
    "aria-label": label.replace("\n", " "),
  });
}

/** A link over a panel's many buttons, for the keyboard. */
export function makeSkip(label, panel) {
  const skip = make("button", { type: "button", class: "skip", text: label });
  skip.addEventListener("click", () => {
    const all = [...panel.querySelectorAll("button")];
    const after = [...panel.getRootNode().querySelectorAll("button, [tabindex='0']")].find(
      (one) => !panel.contains(one) && panel.compareDocumentPosition(one) & Node.DOCUMENT_POSITION_FOLLOWING,
    );
    (after ?? all[all.length - 1])?.focus();
  });
  return skip;
}

/** A place on a canvas, moved to the device pixel: rectangles side by side then leave no seam. */
export function snapped(value) {
  const ratio = window.devicePixelRatio || 1;
  return Math.round(value * ratio) / ratio;
}
