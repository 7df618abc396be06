// A slider over the checkpoints of training: the attention and the answers that were recorded at each.
import { make, setText } from "./dom.js";
import { percent } from "./numberFormat.js";

const PLAY_INTERVAL = 700; // milliseconds that each checkpoint stays while the training is played

/** The row under the controls for a run that was recorded along training; hidden for any other run. */
export class TrainingTimeline {
  constructor(viewer) {
    this.viewer = viewer;
    this.element = make("section", { class: "timeline", "data-part": "timeline", hidden: true });
    this.reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");
    this.onMotionChange = () => this.reducedMotion.matches && this.pause();
    this.reducedMotion.addEventListener("change", this.onMotionChange);
  }

  build() {
    this.pause();
    const { header, attnMaps, say } = this.viewer;
    this.timeline = header.timeline;
    this.element.hidden = !this.timeline;
    attnMaps.checkpoint = this.timeline ? this.timeline.scenes.length - 1 : null;
    if (!this.timeline) return this.element.replaceChildren();
    const label = say("timeline");
    this.element.setAttribute("aria-label", label);
    const last = attnMaps.checkpoint;
    this.slider = make("input", { type: "range", min: 0, max: last, step: 1, value: last, "aria-label": label });
    this.slider.addEventListener("input", () => {
      this.pause();
      this.show(Number(this.slider.value));
    });
    this.playButton = make("button", {
      type: "button",
      class: "play",
      title: say("timeline-play-help"),
      hidden: this.reducedMotion.matches,
    });
    this.playButton.addEventListener("click", () => (this.interval ? this.pause() : this.play()));
    this.output = make("output", { "data-part": "checkpoint" });
    this.bars = this.timeline.answers.map((answer) => {
      const bar = make("i");
      const number = make("b");
      const row = make("span", { class: "answer" }, make("em", { text: answer }), make("u", {}, bar), number);
      return { bar, number, row };
    });
    const name = (text) => make("span", { class: "name", text });
    this.element.replaceChildren(
      make("div", { class: "line" }, name(label), this.playButton, this.slider, this.output),
      make("div", { class: "line answers" }, name(say("timeline-answers")), ...this.bars.map(({ row }) => row)),
      make("p", { class: "note", text: say("timeline-note") }),
    );
    this.pause();
    this.describe();
  }

  /** Shows the attention at a checkpoint. */
  show(checkpoint) {
    this.viewer.attnMaps.checkpoint = checkpoint;
    this.slider.value = checkpoint;
    this.describe();
    this.viewer.repaint();
    this.viewer.announcer.announceView();
  }

  /** Writes how far training had come at the checkpoint shown, and how probable each answer was. */
  describe() {
    const { say, attnMaps, root, header } = this.viewer;
    const { scenes, probabilities } = this.timeline;
    const { checkpoint } = attnMaps;
    const text = say("timeline-after", { scenes: scenes[checkpoint].toLocaleString(header.language) });
    setText(this.output, text);
    this.slider.setAttribute("aria-valuetext", text);
    probabilities[checkpoint].forEach((probability, k) => {
      this.bars[k].bar.style.transform = `scaleX(${probability})`;
      setText(this.bars[k].number, percent(probability));
    });
    root.dataset.checkpoint = checkpoint;
  }

  /** Goes through the checkpoints from the one shown; from the last one, starts over. */
  play() {
    const last = this.timeline.scenes.length - 1;
    if (this.viewer.attnMaps.checkpoint === last) this.show(0);
    this.interval = setInterval(() => {
      const next = this.viewer.attnMaps.checkpoint + 1;
      this.show(next);
      if (next === last) this.pause();
    }, PLAY_INTERVAL);
    setText(this.playButton, this.viewer.say("timeline-pause"));
  }

  pause() {
    clearInterval(this.interval);
    this.interval = null;
    if (!this.playButton) return;
    setText(this.playButton, this.viewer.say("timeline-play"));
    this.playButton.hidden = this.reducedMotion.matches;
  }

  destroy() {
    clearInterval(this.interval);
    this.reducedMotion.removeEventListener("change", this.onMotionChange);
  }
}
