// Requests the maps that the first view does not need, once the viewer is in use, so that later choices need no wait.

const FIRST_BATCH = 2; // sections in the first request
const LARGEST_BATCH = 32; // sections in a request, see viewer_request_check.py
const GROWTH = 8; // how many times larger than the request before it a request is at most
const WAIT = 6000; // milliseconds that an answer shall take at most: what a visitor requests comes behind it
const GIVE_UP = 20000; // milliseconds after which an unanswered request is sent again
const MAX_UNANSWERED = 4; // requests without an answer, one after another

/** Requests what the header of the run lists in `background`, in order; nothing while a visitor waits for something else. */
export class BackgroundFetcher {
  constructor(viewer) {
    this.viewer = viewer;
  }

  /** Forgets all requests: another run is shown, which is not in use yet. */
  reset() {
    this.destroy();
    this.hasStarted = false;
    this.queue = new Set(this.viewer.on.need ? this.viewer.header.background : []);
    this.coming = new Set();
    this.size = FIRST_BATCH;
    this.tries = 0;
    this.mark();
  }

  start() {
    this.hasStarted = true;
    this.proceed();
  }

  /** Sends the next request, unless one is on its way. */
  proceed() {
    const { fetcher, on } = this.viewer;
    if (!this.hasStarted || this.coming.size || !this.queue.size || fetcher.isBusy || this.tries === MAX_UNANSWERED) return;
    this.coming = new Set([...this.queue].slice(0, this.size));
    this.sentAt = performance.now();
    this.tries++;
    this.timer = setTimeout(() => {
      this.coming.clear();
      this.size = 1;
      this.proceed();
    }, GIVE_UP);
    on.need([...this.coming]);
  }

  /** Whether a section has been requested here, and not arrived. */
  isComing(name) {
    return this.coming.has(name);
  }

  /** Takes sections that have arrived off the queue, whoever requested them. */
  markReceived(names) {
    const wasComing = this.coming.size > 0;
    for (const name of names) {
      if (this.queue.delete(name)) this.tries = 0;
      this.coming.delete(name);
    }
    this.mark();
    if (this.coming.size) return;
    if (wasComing) {
      clearTimeout(this.timer);
      const growth = Math.min(GROWTH, WAIT / (performance.now() - this.sentAt));
      this.size = Math.max(1, Math.min(LARGEST_BATCH, Math.round(this.size * growth)));
    }
    this.proceed();
  }

  /** Marks the viewer as complete once nothing is left to be fetched. */
  mark() {
    this.viewer.root.dataset.complete = String(!this.queue.size);
  }

  destroy() {
    clearTimeout(this.timer);
  }
}
