// The buttons of tokens by keyboard: the focus points at a token, Enter and space choose it.
import { targetOf } from "./textPanel.js";
import { howChosen, targetTokens, tokensBetween } from "./tokenPointer.js";

/** Makes the buttons of tokens in the viewer follow the keyboard. */
export function listenToTokenButtons(viewer) {
  const buttonOf = (event) => event.target.closest?.("[data-token]");
  viewer.root.addEventListener("focusin", (event) => {
    const button = buttonOf(event);
    if (!button?.matches(":focus-visible")) return;
    const target = targetOf(button);
    viewer.hover(target);
    viewer.announcer.announceToken(target);
  });
  viewer.root.addEventListener("focusout", () => viewer.hover(null));
  viewer.root.addEventListener("click", (event) => {
    const button = buttonOf(event);
    if (!button || event.detail !== 0) return; // a click of the mouse is handled where its pointer goes down
    const target = targetOf(button);
    const how = howChosen(event);
    const isRange = how === "all" && viewer.pressed?.stream === target.stream;
    viewer.click(target.stream, isRange ? tokensBetween(viewer.pressed, target) : targetTokens(target), how);
    if (!isRange) viewer.pressed = target; // where a range with Shift begins
  });
}
