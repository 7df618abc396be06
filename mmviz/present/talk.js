// Shows the slides of a talk one at a time; without this script they stand below each other.
const root = document.documentElement;
const slides = [...document.querySelectorAll(".slide")];
const [back, on] = document.querySelectorAll("[data-go]");
const notesButton = document.getElementById("notes");
const MOVES = {
  ArrowRight: 1, ArrowDown: 1, PageDown: 1, " ": 1, Enter: 1, ArrowLeft: -1, ArrowUp: -1, PageUp: -1, Backspace: -1,
  Home: -Infinity, End: Infinity,
};
const SWIPE = 50; // pixels
let at = 0;

function show(number) {
  at = Math.min(slides.length - 1, Math.max(0, number));
  for (const sound of document.querySelectorAll("audio")) sound.pause();
  slides.forEach((slide, place) => slide.classList.toggle("now", place === at));
  document.getElementById("place").textContent = `${at + 1} / ${slides.length}`;
  back.disabled = at === 0;
  on.disabled = at === slides.length - 1;
  slides[at].focus({ preventScroll: true }); // a screen reader reads the new heading
  scrollTo(0, 0);
  try {
    history.replaceState(null, "", `#${at + 1}`); // a reload stays here
  } catch {
    // a document without an address of its own, such as a frame, keeps none
  }
}

function showNotes(open) {
  root.classList.toggle("speaking", open);
  notesButton.setAttribute("aria-pressed", String(open));
}

function fullScreen() {
  const change = document.fullscreenElement ? document.exitFullscreen() : root.requestFullscreen?.();
  change?.catch(() => {}); // a frame may not be allowed to
}

function isTyping(event) {
  const presses = event.key === " " || event.key === "Enter";
  if (event.target.closest("button, audio")) return presses; // it is theirs
  return !presses && event.target.closest(".long") && /^(Arrow|Page)/.test(event.key); // a long text scrolls
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || isTyping(event)) return;
  const step = event.key === " " && event.shiftKey ? -1 : MOVES[event.key];
  const key = event.key.toLowerCase();
  if (step !== undefined) show(at + step);
  else if (key === "f") fullScreen();
  else if (key === "n") showNotes(!root.classList.contains("speaking"));
  else if (key === "escape") showNotes(false);
  else return;
  event.preventDefault();
});
back.addEventListener("click", () => show(at - 1));
on.addEventListener("click", () => show(at + 1));
notesButton.addEventListener("click", () => showNotes(!root.classList.contains("speaking")));
document.getElementById("full").addEventListener("click", fullScreen);

let start = null;
document.addEventListener(
  "touchstart",
  (event) => {
    const isOne = event.touches.length === 1 && !event.target.closest("audio, button");
    start = isOne ? event.touches[0] : null;
  },
  { passive: true },
);
document.addEventListener(
  "touchend",
  (event) => {
    if (!start) return;
    const [x, y] = [event.changedTouches[0].clientX - start.clientX, event.changedTouches[0].clientY - start.clientY];
    if (Math.abs(x) > SWIPE && Math.abs(x) > 2 * Math.abs(y)) show(at - Math.sign(x));
    start = null;
  },
  { passive: true },
);

for (const sound of document.querySelectorAll("audio:not([src])")) {
  sound.src = document.querySelector(`audio[data-sound="${sound.dataset.sound}"][src]`).src;
}
document.querySelector(".bar").hidden = false;
root.classList.add("talk");
show((Number.parseInt(location.hash.slice(1), 10) || 1) - 1);
