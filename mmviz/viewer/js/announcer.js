// Says to screen readers what the viewer shows.
import { setText } from "./dom.js";

const DELAY = 150; // milliseconds: only the last of quick changes is announced

export class Announcer {
  /** Writes into the live region `element` what the viewer shows. */
  constructor(viewer, element) {
    this.viewer = viewer;
    this.element = element;
  }

  /** Announces the view after a short delay. */
  announceView() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      const frame = this.viewer.makeFrame();
      if (!frame.attnMap) return; // the line of what is waited for is announced, and this view once it has arrived
      const readout = this.viewer.describeFrame({ ...frame, pointed: null });
      setText(this.element, `${this.viewer.describeMap(frame.mapRef)}. ${readout}`);
    }, DELAY);
  }

  /** Announces the token that has the keyboard focus, in place of a change that is about to be announced. */
  announceToken(target) {
    clearTimeout(this.timer);
    const frame = this.viewer.makeFrame();
    if (!frame.attnMap) return;
    const pointed = this.viewer.pinned ? target : null;
    setText(this.element, this.viewer.describeFrame({ ...frame, pointed }));
  }

  destroy() {
    clearTimeout(this.timer);
  }
}
