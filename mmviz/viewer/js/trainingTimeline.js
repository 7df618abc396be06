// Time of training: a slider over the moments of which attention is here, and what the model answered then.
import { make, setText } from "./dom.js";

const BEAT = 700; // milliseconds that a moment stays while training is played

/** The row under the controls of a run that was recorded along training; nothing of any other run. */
export class Moments {
  constructor(viewer) {
    this.viewer = viewer;
    this.element = make("section", { class: "moments", "data-part": "moments", hidden: true });
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    this.still.addEventListener("change", () => this.still.matches && this.pause());
  }

  build() {
    this.pause();
    const { header, planes, say } = this.viewer;
    this.found = header.moments;
    this.element.hidden = !this.found;
    planes.moment = this.found ? this.found.scenes.length - 1 : null;
    if (!this.found) return this.element.replaceChildren();
    this.element.setAttribute("aria-label", say("moments"));
    const last = planes.moment;
    this.slider = make("input", { type: "range", min: 0, max: last, step: 1, value: last, "aria-label": say("moments") });
    this.slider.addEventListener("input", () => {
      this.pause();
      this.go(Number(this.slider.value));
    });
    this.play = make("button", { type: "button", class: "play", title: say("moments-play-help"), hidden: this.still.matches });
    this.play.addEventListener("click", () => (this.playing ? this.pause() : this.begin()));
    this.told = make("output", { "data-part": "moment" });
    this.bars = this.found.answers.map((answer) => {
      const bar = make("i");
      const number = make("b");
      return { bar, number, row: make("span", { class: "one" }, make("em", { text: answer }), make("u", {}, bar), number) };
    });
    this.element.replaceChildren(
      make("div", { class: "line" }, make("span", { class: "name", text: say("moments") }), this.play, this.slider, this.told),
      make("div", { class: "line answers" }, make("span", { class: "name", text: say("moments-answers") }), ...this.bars.map(({ row }) => row)),
      make("p", { class: "note", text: say("moments-note") }),
    );
    this.pause();
    this.tell();
  }

  /** Show what was at a moment. */
  go(moment) {
    const { planes } = this.viewer;
    planes.moment = moment;
    this.slider.value = moment;
    this.tell();
    this.viewer.repaint();
    this.viewer.announce();
  }

  tell() {
    const { say, planes, root, header } = this.viewer;
    const { scenes, probabilities } = this.found;
    const words = say("moments-after", { scenes: scenes[planes.moment].toLocaleString(header.language) });
    setText(this.told, words);
    this.slider.setAttribute("aria-valuetext", words);
    probabilities[planes.moment].forEach((probability, k) => {
      this.bars[k].bar.style.transform = `scaleX(${probability})`;
      setText(this.bars[k].number, `${(100 * probability).toFixed(1)} %`);
    });
    root.dataset.moment = planes.moment;
  }

  /** Go through time from here; from its end, from the beginning. */
  begin() {
    const last = this.found.scenes.length - 1;
    if (this.viewer.planes.moment === last) this.go(0);
    this.playing = setInterval(() => {
      const next = this.viewer.planes.moment + 1;
      this.go(next);
      if (next === last) this.pause();
    }, BEAT);
    setText(this.play, this.viewer.say("moments-pause"));
  }

  pause() {
    clearInterval(this.playing);
    this.playing = null;
    if (!this.play) return;
    setText(this.play, this.viewer.say("moments-play"));
    this.play.hidden = this.still.matches;
  }

  close() {
    clearInterval(this.playing);
  }
}
