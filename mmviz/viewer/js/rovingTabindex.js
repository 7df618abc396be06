// Tokens too many for a button each: the panel takes the focus once, and arrow keys move through its tokens.

export const MAX_BUTTONS = 400;

/**
 * Makes `stage` focusable, with arrow keys that move through `tokens` (a list of {stream, token}); up and down move
 * `stride` tokens. Enter and space click the token.
 */
export function useRovingTabindex(stage, viewer, label, tokens, stride) {
  stage.tabIndex = 0;
  stage.dataset.roving = "true";
  stage.setAttribute("role", "group");
  stage.setAttribute("aria-label", label);
  let at = 0;
  const point = () => {
    viewer.hover(tokens[at]);
    viewer.announcer.announceToken(tokens[at]);
  };
  const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: stride, ArrowUp: -stride, Home: -Infinity, End: Infinity };
  stage.onkeydown = (event) => {
    if (event.key in steps) at = Math.min(tokens.length - 1, Math.max(0, at + steps[event.key]));
    else if (event.key === "Enter" || event.key === " ") return viewer.click(tokens[at].stream, [tokens[at].token]);
    else return;
    event.preventDefault();
    event.stopPropagation();
    point();
  };
  stage.onfocus = () => stage.matches(":focus-visible") && point();
}

/** Undoes `useRovingTabindex`. */
export function removeRovingTabindex(stage) {
  for (const name of ["tabindex", "role", "aria-label", "data-roving"]) stage.removeAttribute(name);
  stage.onkeydown = stage.onfocus = null;
}
