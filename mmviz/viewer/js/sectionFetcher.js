// Requests what has not been sent: maps, exact rows once the pointer rests, and windows of the matrix.
import { BackgroundFetcher } from "./backgroundFetcher.js";
import { isFlow, parseSectionName } from "./mapRef.js";

const REST = 90; // milliseconds that the pointer rests before exact rows are requested
const MAX_NAMES = 8; // sections in one request
const COLLECT = 60; // milliseconds in which requests are collected into one
const RETRY = 2500; // milliseconds after which an unanswered request is sent again
const MAX_TRIES = 4;

/** Requests sections of the run that `viewer` shows, each once, and shows what is being waited for. */
export class SectionFetcher {
  constructor(viewer) {
    this.viewer = viewer;
    this.background = new BackgroundFetcher(viewer);
    this.reset();
  }

  /** Forgets all requests: another run is shown. */
  reset() {
    this.destroy();
    this.requested = new Set();
    this.pending = new Map(); // number of tries by name
    this.restingNames = "";
    this.background.reset();
  }

  /** Requests what `frame` lacks. */
  paint(frame) {
    const { viewer } = this;
    if (!frame.attnMap) {
      const method = viewer.describeMap(frame.mapRef);
      const canRequest = Boolean(viewer.on.need) && !this.isGone("map/" + frame.mapRef);
      const isComputed = isFlow(frame.mapRef) && viewer.header.source === "kept";
      const wait = isComputed ? viewer.say("computing", { method }) : viewer.say("fetching", { method });
      viewer.controls.wait(canRequest ? wait : viewer.say("not-here", { method }), canRequest);
      this.request(["map/" + frame.mapRef]);
    } else if (frame.attnMap.isPooled) this.requestRowsAfterRest(frame);
    else viewer.controls.wait("", false);
  }

  /** Says whether amounts are exact or means over bins, and requests the exact rows once the view stays the same. */
  requestRowsAfterRest({ attnMap, tokens, versus, direction, isApproximate }) {
    const { on, header, controls, say } = this.viewer;
    const names = attnMap.missingRows([...new Set([...tokens, ...versus])], direction).slice(0, MAX_NAMES);
    const areKept = header.source === "kept" && Boolean(on.need);
    const isPassing = isFlow(attnMap.mapRef) && Boolean(this.viewer.hovered); // each row goes through all layers
    const canRequest = names.length > 0 && areKept && !isPassing;
    const kept = isPassing && names.length ? "approximate-flow" : "approximate-many";
    const code = canRequest ? "approximate" : areKept ? kept : "approximate-only";
    controls.wait(isApproximate ? say(code) : "", canRequest);
    const resting = isPassing ? "" : names.join();
    if (resting === this.restingNames) return;
    clearTimeout(this.restTimer);
    this.restingNames = resting;
    if (canRequest) this.restTimer = setTimeout(() => this.request(names), REST);
  }

  /** Requests sections, each once; none of those that are on their way, or that the sender no longer has. */
  request(names) {
    const { on } = this.viewer;
    const fresh = names.filter((name) => !this.requested.has(name) && !this.background.isComing(name) && !this.isGone(name));
    for (const name of fresh) {
      this.requested.add(name);
      this.pending.set(name, 0);
    }
    if (!fresh.length || !on.need) return;
    clearTimeout(this.sendTimer);
    this.sendTimer = setTimeout(() => this.send(), COLLECT);
  }

  /** Whether the sender no longer has a section: an exact part of a run of which only the overview is left. */
  isGone(name) {
    return this.viewer.header.source === "overview" && (!name.startsWith("map/") || isFlow(name));
  }

  /** Sends the newest pending requests, and again after `RETRY`, at most `MAX_TRIES` times each. */
  send() {
    const names = [...this.pending.keys()].slice(-MAX_NAMES);
    if (!names.length) return this.background.proceed();
    for (const name of names) {
      if (this.pending.get(name) + 1 < MAX_TRIES) this.pending.set(name, this.pending.get(name) + 1);
      else this.pending.delete(name);
    }
    this.viewer.on.need(names);
    this.sendTimer = setTimeout(() => this.send(), RETRY);
  }

  /** Takes sections that have arrived off the requests. */
  markReceived(sections) {
    const received = sections.map((name) => {
      const { kind, ref } = parseSectionName(name);
      if (kind === "codes" || kind === "overview") return "map/" + ref;
      return kind === "steps" ? "steps/" + ref.split("/")[0] : name;
    });
    for (const name of received) this.pending.delete(name);
    this.background.markReceived(received);
  }

  /** Whether a request of a visitor has not been answered. */
  get isBusy() {
    return this.pending.size > 0;
  }

  destroy() {
    clearTimeout(this.restTimer);
    clearTimeout(this.sendTimer);
    this.background.destroy();
  }
}
