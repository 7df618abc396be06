// Keys of a presentation, and the definitions of terms. Loaded once, for the whole page.
window.mmvizLessonKeys ??= (() => {
  const BUTTONS = {
    ArrowRight: "next", PageDown: "next", ArrowLeft: "previous", PageUp: "previous",
    Home: "first", End: "last", Escape: "leave",
  };
  const OWN_KEYS = "input, textarea, select, [role=slider], [role=combobox], [role=listbox], [contenteditable=true]";
  const MARGIN = 8; // pixels between a definition and the edge of the window

  /** The element that has the focus, also within a component. */
  const focused = () => {
    let element = document.activeElement;
    while (element?.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
    return element;
  };

  const press = (name) => document.querySelector(`.st-key-slide-${name} button:not(:disabled)`)?.click();

  const toggleFullScreen = () =>
    document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen();

  document.addEventListener("keydown", (event) => {
    if (event.isComposing || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const openTerm = document.querySelector(".term:is(:hover, :focus):not(.closed)");
    if (event.key === "Escape" && openTerm) {
      openTerm.classList.add("closed");
      event.preventDefault();
      return;
    }
    if (!document.querySelector(".st-key-slide-turn") || focused()?.matches(OWN_KEYS)) return;
    if (event.key === "f" || event.key === "F") toggleFullScreen();
    else if (event.key in BUTTONS) press(BUTTONS[event.key]);
    else return;
    event.preventDefault();
  });

  /** Opens the definition of a term within the window. */
  const place = ({ target }) => {
    const term = target.closest?.(".term");
    if (!term) return;
    term.classList.remove("closed");
    term.style.setProperty("--shift", "0px");
    const definition = term.querySelector(".definition").getBoundingClientRect();
    const width = document.documentElement.clientWidth;
    const shift = Math.min(0, width - MARGIN - definition.right) || Math.max(0, MARGIN - definition.left);
    term.style.setProperty("--shift", `${shift}px`);
    term.classList.toggle("below", term.getBoundingClientRect().top < definition.height + MARGIN);
  };
  document.addEventListener("pointerover", place);
  document.addEventListener("focusin", place);
  return true;
})();
