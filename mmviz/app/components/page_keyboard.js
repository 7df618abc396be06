// Keys of the page that Streamlit's widgets do not have. Loaded once; each drawing of the page calls mmvizKeyboard().
window.mmvizKeyboard ??= (() => {
  const GALLERY = ".st-key-gallery";
  const CARDS = `${GALLERY} > [class*="st-key-"]`;
  const HEAD_BUTTONS = ".st-key-page-head :is([class*=st-key-page-], [class*=st-key-language-]) button";
  const QUESTION = ".st-key-question input";
  const STEPS = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity };
  let options = null;
  let card = null; // the element of the gallery's card that Tab leads to
  let question = ""; // the text that the server has

  const links = document.createElement("div");
  links.id = "mmviz-skip-links";
  document.body.prepend(links); // before Streamlit's own header

  /** Moves the focus to what a selector names, or to what it is folded into. */
  const skipTo = (selector) => {
    const target = document.querySelector(selector);
    if (!target) return;
    const isFolded = !target.checkVisibility();
    const next = isFolded ? target.closest("details")?.querySelector("summary") : target;
    if (!next?.matches("input, summary")) next?.setAttribute("tabindex", "-1");
    next?.focus();
    next?.scrollIntoView({ block: "nearest" });
  };

  const writeLinks = () => {
    const texts = options.links.map(([, text]) => text);
    if ([...links.children].map((link) => link.textContent).join() === texts.join()) return;
    links.replaceChildren(
      ...options.links.map(([selector, text]) => {
        const link = document.createElement("button");
        link.type = "button";
        link.textContent = text;
        link.addEventListener("click", () => skipTo(selector));
        return link;
      }),
    );
  };

  /** Makes the gallery one tab stop (a toolbar of the ARIA practices). Streamlit draws a button with help twice. */
  const applyTabStop = () => {
    const cards = [...document.querySelectorAll(CARDS)];
    if (!cards.includes(card)) card = document.querySelector(`${GALLERY} > .st-key-${options.card}`) ?? cards[0];
    for (const other of cards) {
      for (const button of other.querySelectorAll("button")) button.tabIndex = other === card ? 0 : -1;
    }
    const gallery = document.querySelector(GALLERY);
    gallery?.setAttribute("role", "toolbar");
    gallery?.setAttribute("aria-label", options.gallery);
  };

  const cardOf = (element) => element.closest?.(CARDS) ?? null;

  document.addEventListener("focusin", ({ target }) => {
    if (target.matches?.(QUESTION)) question = target.value;
    if (!cardOf(target)) return;
    card = cardOf(target);
    applyTabStop();
  });

  const moveInGallery = (event) => {
    const cards = [...document.querySelectorAll(CARDS)];
    const at = cards.indexOf(cardOf(event.target)) + STEPS[event.key];
    const next = cards[Math.min(cards.length - 1, Math.max(0, at))];
    [...next.querySelectorAll("button")].find((button) => button.checkVisibility())?.focus();
    event.preventDefault();
  };

  /** Return in the text field, or Ctrl and Return anywhere. A text that was changed is run as Streamlit takes it over. */
  const run = (event) => {
    const field = document.querySelector(QUESTION);
    const isChanged = document.activeElement === field && field.value !== question;
    question = field?.value ?? "";
    if (isChanged) return;
    document.querySelector(".st-key-run button")?.click();
    event.preventDefault();
  };

  document.addEventListener("keydown", (event) => {
    if (event.isComposing || event.altKey || event.shiftKey) return;
    const hasControl = event.ctrlKey || event.metaKey;
    if (event.key === "Enter" && (hasControl || event.target.matches?.(QUESTION))) run(event);
    else if (!hasControl && event.key in STEPS && cardOf(event.target)) moveInGallery(event);
  });

  // A file that is dragged over the page unfolds the form, so that it can be dropped there. It stays so until the page
  // is drawn with the file: an upload that fails is said there too.
  const drag = (event) => {
    const hasFiles = [...(event.dataTransfer?.types ?? [])].includes("Files");
    const isOver = event.type !== "dragleave" || event.relatedTarget !== null;
    document.body.classList.toggle("mmviz-dragging", hasFiles && isOver);
  };
  for (const name of ["dragover", "dragleave", "drop"]) document.addEventListener(name, drag, true);

  /** Takes the buttons of the page and the language that are open, which do nothing, out of the order of the tabs. */
  const applyCurrent = () => {
    for (const button of document.querySelectorAll(HEAD_BUTTONS)) {
      const isCurrent = options.current.some((key) => button.closest(`.st-key-${key}`));
      if (button.getAttribute("aria-current") === `${isCurrent}`) continue;
      button.setAttribute("aria-current", `${isCurrent}`);
      button.tabIndex = isCurrent ? -1 : 0;
    }
  };

  /** Says of the buttons that unfold parts of the form whether they are unfolded. */
  const applyExpanded = () => {
    for (const button of document.querySelectorAll("[class*=st-key-panel-][class*=-toggle] button")) {
      const [name] = button.closest("[class*=-toggle]").className.match(/st-key-panel-[a-z]+(?=-toggle)/);
      const isOpen = document.querySelector(`.${name}`)?.checkVisibility() ?? false;
      if (button.getAttribute("aria-expanded") !== `${isOpen}`) button.setAttribute("aria-expanded", `${isOpen}`);
    }
  };

  let isDue = false;
  new MutationObserver(() => {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(() => {
      isDue = false;
      applyTabStop();
      applyExpanded();
      applyCurrent();
    });
  }).observe(document.body, { childList: true, subtree: true });

  return (next) => {
    if (next.card !== options?.card) card = null;
    options = next;
    document.body.classList.remove("mmviz-dragging");
    writeLinks();
    applyTabStop();
    applyExpanded();
    applyCurrent();
  };
})();
