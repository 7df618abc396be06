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
const PLACE = /^#(presenter-?)?(\d*)/.exec(location.hash) ?? [];
const isPresenter = Boolean(PLACE[1]); // in the second window, with the notes
const TALK = document.title;
let other = isPresenter ? window.opener : null; // the window that shows the same slide
let at = 0;

function show(number, isTold = false) {
  at = Math.min(slides.length - 1, Math.max(0, number));
  for (const sound of document.querySelectorAll("audio")) sound.pause();
  slides.forEach((slide, place) => slide.classList.toggle("now", place === at));
  document.getElementById("place").textContent = `${at + 1} / ${slides.length}`;
  back.disabled = at === 0;
  on.disabled = at === slides.length - 1;
  slides[at].focus({ preventScroll: true }); // a screen reader reads the new heading
  scrollTo(0, 0);
  if (isPresenter) present();
  if (!isTold) tell({ at });
  try {
    history.replaceState(null, "", `#${isPresenter ? "presenter-" : ""}${at + 1}`); // a reload stays here
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

function tell(message) {
  other?.postMessage({ talk: TALK, ...message }, "*"); // a file has no origin to name; no more than a place is sent
}

function openPresenter() {
  if (isPresenter) return;
  const url = `${location.href.split("#")[0]}#presenter-${at + 1}`;
  other = window.open(url, "mmviz-presenter", "popup,width=1200,height=760") ?? other;
  if (!other) showNotes(true); // a browser that opens no windows
}

// The presenter's window: this slide and the next one as they are on a screen of 1280 x 720, the notes, and the time.
const stages = document.querySelectorAll(".stage");
const speech = document.querySelector(".speech");
let started = Date.now();

function present() {
  speech.textContent = slides[at].querySelector(".notes")?.textContent ?? "";
  speech.scrollTop = 0;
  root.classList.toggle("ended", at === slides.length - 1);
  slides.forEach((slide, place) => slide.classList.toggle("coming", place === at + 1));
  [slides[at], slides[at + 1]].forEach((slide, place) => {
    if (!slide) return;
    const { left, top, width, height } = stages[place].getBoundingClientRect();
    const scale = Math.min(width / 1280, height / 720);
    slide.style.transform = `translate(${left}px, ${top}px) scale(${scale})`;
  });
}

function tick() {
  const seconds = Math.floor((Date.now() - started) / 1000);
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const shown = parts[0] ? parts : parts.slice(1);
  const text = shown.map((part, place) => String(part).padStart(place ? 2 : 1, "0")).join(":");
  document.getElementById("elapsed").textContent = text;
  const time = new Date().toLocaleTimeString(root.lang, { hour: "2-digit", minute: "2-digit" });
  document.getElementById("time").textContent = time;
  tell({ isHere: true }); // the other window may have been loaded again
  const now = document.getElementById("now");
  now.textContent = !other || other.closed ? now.dataset.closed : now.dataset.shown;
}

window.addEventListener("message", ({ data, source }) => {
  if (!source || data?.talk !== TALK) return;
  const isFound = other !== source;
  other = source;
  if (data.isNew || (data.isHere && isFound)) tell({ at }); // the slides may have moved since they were loaded again
  else if (data.isSound) playSound();
  else if (Number.isInteger(data.at) && data.at !== at) show(data.at, true);
});

function playSound() {
  const sound = slides[at].querySelector("audio");
  if (isPresenter) tell({ isSound: true });
  else if (sound?.paused) sound.play().catch(() => {}); // a page that nobody has touched may not
  else sound?.pause();
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
  else if (key === "p") openPresenter();
  else if (key === "s") playSound();
  else if (key === "n") showNotes(!root.classList.contains("speaking"));
  else if (key === "escape") showNotes(false);
  else return;
  event.preventDefault();
});
back.addEventListener("click", () => show(at - 1));
on.addEventListener("click", () => show(at + 1));
notesButton.addEventListener("click", () => showNotes(!root.classList.contains("speaking")));
document.getElementById("full").addEventListener("click", fullScreen);
document.getElementById("presenting").addEventListener("click", openPresenter);

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
  const whole = document.querySelector(`audio[data-sound="${sound.dataset.sound}"][src]`);
  if (whole) sound.src = whole.src;
}
document.querySelector(".bar").hidden = false;
root.classList.add("talk");
if (isPresenter) {
  root.classList.add("presenting");
  document.querySelector(".presenter").hidden = false;
  document.querySelector("main").inert = true;
  document.getElementById("restart").addEventListener("click", () => {
    started = Date.now();
    tick();
  });
  window.addEventListener("resize", present);
  setInterval(tick, 1000);
  tick();
  tell({ isNew: true });
}
show((Number.parseInt(PLACE[2], 10) || 1) - 1, true);
