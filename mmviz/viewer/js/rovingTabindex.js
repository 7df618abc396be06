// Tokens too many for a button each: one place takes the focus, and arrow keys move through them.

export const MANY = 400;

/** Let arrow keys on `stage` go through `all` of {stream, token}, `stride` at a time up and down. */
export function rove(stage, viewer, label, all, stride) {
  stage.tabIndex = 0;
  stage.dataset.rover = "true";
  stage.setAttribute("role", "group");
  stage.setAttribute("aria-label", label);
  let at = 0;
  const point = () => {
    viewer.hover(all[at]);
    viewer.announceFocus(all[at]);
  };
  const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: stride, ArrowUp: -stride, Home: -Infinity, End: Infinity };
  stage.onkeydown = (event) => {
    if (event.key in steps) at = Math.min(all.length - 1, Math.max(0, at + steps[event.key]));
    else if (event.key === "Enter" || event.key === " ") return viewer.click(all[at].stream, [all[at].token]);
    else return;
    event.preventDefault();
    event.stopPropagation();
    point();
  };
  stage.onfocus = () => stage.matches(":focus-visible") && point();
}

/** Take back what `rove` did. */
export function stay(stage) {
  for (const name of ["tabindex", "role", "aria-label", "data-rover"]) stage.removeAttribute(name);
  stage.onkeydown = stage.onfocus = null;
}
