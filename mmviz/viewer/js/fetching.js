// What is not here and is asked for: planes, exact rows once the pointer rests, windows of the matrix.

const REST = 90; // milliseconds that the pointer stays before exact rows are fetched
const AT_ONCE = 8;

/** Asks for sections of the run that `viewer` shows, each once, and says what is waited for. */
export class Fetching {
  constructor(viewer) {
    this.viewer = viewer;
    this.begin();
  }

  /** Another run: nothing of it has been asked for. */
  begin() {
    clearTimeout(this.soon);
    this.wanted = new Set();
    this.resting = "";
  }

  /** Look after what `frame` lacks. */
  paint(frame) {
    const { viewer } = this;
    if (!frame.plane) {
      const way = viewer.wayOf(frame.id);
      viewer.controls.wait(viewer.say(viewer.on.need ? "fetching" : "not-here", { way }), Boolean(viewer.on.need));
      this.ask(["plane/" + frame.id]);
    } else if (frame.plane.isLong) this.rest(frame);
    else viewer.controls.wait("", false);
  }

  /** Say whether amounts are exact or means over bins; rows that are looked at for a moment are fetched. */
  rest({ plane, tokens, versus, direction, isAbout }) {
    const { on, header, controls, say } = this.viewer;
    const names = plane.missing([...new Set([...tokens, ...versus])], direction).slice(0, AT_ONCE);
    const canAsk = names.length > 0 && Boolean(on.need) && header.source === "kept";
    const code = canAsk ? "about" : header.source === "kept" && on.need ? "about-many" : "about-only";
    controls.wait(isAbout ? say(code) : "", canAsk);
    if (names.join() === this.resting) return;
    clearTimeout(this.soon);
    this.resting = names.join();
    if (canAsk) this.soon = setTimeout(() => this.ask(names), REST);
  }

  /** Ask for sections, each once; of what cannot be had any more nothing. */
  ask(names) {
    const { on, header } = this.viewer;
    const isGone = (name) => header.source === "overview" && !name.startsWith("plane/");
    const fresh = names.filter((name) => !this.wanted.has(name) && !isGone(name));
    for (const name of fresh) this.wanted.add(name);
    if (fresh.length) on.need?.(fresh);
  }

  close() {
    clearTimeout(this.soon);
  }
}
