// What is not here and is asked for: planes, exact rows once the pointer rests, windows of the matrix.

const REST = 90; // milliseconds that the pointer stays before exact rows are fetched
const AT_ONCE = 8;
const TOGETHER = 60; // what is asked for within this time is asked for together
const AGAIN = 2500; // a question that was not answered by then was lost on the way
const TRIES = 4;

/** Asks for sections of the run that `viewer` shows, each once, and says what is waited for. */
export class Fetching {
  constructor(viewer) {
    this.viewer = viewer;
    this.begin();
  }

  /** Another run: nothing of it has been asked for. */
  begin() {
    this.close();
    this.wanted = new Set();
    this.open = new Map(); // what has not come yet, and how often it was asked for
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
    for (const name of fresh) {
      this.wanted.add(name);
      this.open.set(name, 0);
    }
    if (!fresh.length || !on.need) return;
    clearTimeout(this.sending);
    this.sending = setTimeout(() => this.send(), TOGETHER);
  }

  /** Ask for the newest of what has not come yet. */
  send() {
    const names = [...this.open.keys()].slice(-AT_ONCE);
    if (!names.length) return;
    for (const name of names) {
      if (this.open.get(name) + 1 < TRIES) this.open.set(name, this.open.get(name) + 1);
      else this.open.delete(name);
    }
    this.viewer.on.need(names);
    this.sending = setTimeout(() => this.send(), AGAIN);
  }

  /** These sections have come. */
  arrived(sections) {
    for (const name of sections) {
      this.open.delete(name);
      const [kind, plane] = name.split("/");
      if (kind === "codes" || kind === "overview") this.open.delete("plane/" + plane);
      if (kind === "steps") this.open.delete("steps/" + plane);
    }
  }

  close() {
    clearTimeout(this.soon);
    clearTimeout(this.sending);
  }
}
