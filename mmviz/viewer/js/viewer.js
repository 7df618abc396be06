// The linked viewer of one run: what is pointed at in one panel lights up in all of them.
import { Planes } from "./attentionRows.js";
import { CalculatorPanel } from "./calculator.js";
import { writeFine } from "./codes.js";
import { Controls } from "./controls.js";
import { make, setText } from "./dom.js";
import { Fetching } from "./fetching.js";
import { lookingAt, makeFrame } from "./frame.js";
import { listenToKeys } from "./keyboard.js";
import { MatrixPanel } from "./matrix.js";
import { ModalitiesPanel } from "./modalities.js";
import { Moments } from "./trainingTimeline.js";
import { OverviewPanel } from "./overview.js";
import { PicturePanel } from "./picture.js";
import { chosenStream, facing, litStream, pin, same, turned, unpin, withPlane } from "./select.js";
import { Shares } from "./shares.js";
import { SoundPanel } from "./sound.js";
import { AllSteps } from "./steps.js";
import { readColours } from "./theme.js";
import { tellAmount, tellFrame, tellTitle, tellWay } from "./labels.js";
import { Tip } from "./tip.js";
import { WordsPanel } from "./words.js";

/**
 * A viewer in `host`. `on.view(view)` when something is chosen, `on.need(names)` when sections are not here, such
 * as plane/0:mean, with none when the run is not; without `on.need` it is said that they are not to be had.
 */
export class Viewer {
  constructor(host, data, on) {
    this.on = on;
    this.planes = new Planes();
    this.steps = new AllSteps();
    this.fetching = new Fetching(this);
    this.header = data.header;
    this.root = make("div", { class: "mmviz", "data-mmviz": "viewer", role: "group", lang: this.header.language });
    this.say = this.say.bind(this);
    this.root.setAttribute("aria-label", this.say("viewer"));
    host.append(this.root);
    this.controls = new Controls(this);
    this.moments = new Moments(this);
    this.panels = {
      picture: new PicturePanel(this),
      words: new WordsPanel(this),
      sound: new SoundPanel(this),
      shares: new Shares(this),
      modalities: new ModalitiesPanel(this),
      overview: new OverviewPanel(this),
      matrix: new MatrixPanel(this),
      calculator: new CalculatorPanel(this),
    };
    const { picture, words, sound, shares, modalities, overview, matrix, calculator } = this.panels;
    const column = (name, ...parts) => make("div", { class: "column " + name }, ...parts.map(({ element }) => element));
    this.tip = new Tip(this.root);
    this.help = make(
      "section",
      { class: "panel help", "aria-label": this.say("help") },
      make("h3", { text: this.say("help") }),
      make("ul", {}, ...[1, 2, 3, 4, 5, 6].map((k) => make("li", { text: this.say("help-" + k) }))),
    );
    this.root.append(
      this.controls.element,
      this.moments.element,
      make(
        "div",
        { class: "panels" },
        column("seen", picture),
        column("heard", words, sound, shares),
        column("whole", modalities, overview),
      ),
      make("div", { class: "panels below" }, column("cells", matrix), make("div", { class: "column" }, this.help)),
      calculator.element,
    );
    this.root.append(this.tip.element);
    this.painted = 0;
    this.stopKeys = listenToKeys(this);
    this.root.addEventListener("focusin", (event) => this.focus(event));
    this.root.addEventListener("focusout", () => this.hover(null));
    this.root.addEventListener("click", (event) => this.press(event));
    this.root.addEventListener("transitionend", (event) => event.target === this.root && this.recolour());
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.root);
    this.show(data);
  }

  /** Take what was sent: another run, another view, or more of this run, which comes without what is here already. */
  show(data) {
    if (!data.header.streams) {
      if (data.header.run !== this.header?.run) return this.on.need?.([]);
      this.planes.take(data, this.header);
      this.steps.take(data, this.header);
      this.fetching.arrived(Object.keys(data.header.sections));
      this.header.source = data.header.source;
      return this.repaint();
    }
    const isOther = this.data?.header.run !== data.header.run;
    this.data = data;
    this.header = data.header;
    this.planes.take(data, data.header);
    this.steps.take(data);
    if (isOther) {
      this.streams = [...new Set(this.header.maps.flatMap((map) => [map.queries, map.keys]))];
      this.fetching.begin();
      this.ceilings = new Map();
      this.hovered = this.previewed = this.pointed = null;
    }
    if (isOther || this.serial !== this.header.serial) {
      this.serial = this.header.serial;
      this.view = this.header.view ?? this.header.start;
      this.pinned = this.view.versus.length > 0 || !same(this.view.tokens, this.startTokens());
    }
    if (isOther) {
      for (const part of [this.controls, this.moments, ...Object.values(this.panels)]) part.build(this.streams);
      this.root.dataset.run = this.header.run;
      this.root.dataset.ready = "false";
      this.picture = null;
      this.decode(data);
    }
    this.recolour();
  }

  async decode(data) {
    const bytes = data.section("picture");
    const picture = bytes && (await createImageBitmap(new Blob([bytes], { type: "image/jpeg" })));
    if (this.header.run !== data.header.run) return; // another run came meanwhile
    this.picture = picture;
    this.panels.picture.base = null;
    this.resize();
    requestAnimationFrame(() => requestAnimationFrame(() => (this.root.dataset.ready = "true")));
  }

  say(code, values = {}) {
    const template = this.header.texts[code];
    if (template === undefined) throw new Error(`no words for ${code}`);
    return template.replace(/\{(\w+)\}/g, (_, name) => values[name]);
  }

  startTokens() {
    const { start } = this.header;
    return chosenStream(this.header, start) === chosenStream(this.header, this.view) ? start.tokens : [0];
  }

  /** Take over the colours of the page, which may turn dark or light at any time. */
  recolour() {
    const found = readColours(this.root);
    if (JSON.stringify(found) !== JSON.stringify(this.colours)) this.colours = found;
    this.repaint();
  }

  resize() {
    const { width } = this.root.getBoundingClientRect();
    this.root.classList.toggle("narrow", width < 640);
    this.root.classList.toggle("middling", width >= 640 && width < 1060);
    for (const panel of Object.values(this.panels)) panel.resize();
    this.repaint();
  }

  repaint() {
    this.due ??= requestAnimationFrame(() => {
      this.due = null;
      if (this.root.clientWidth) this.paint();
    });
  }

  frame() {
    return makeFrame(this.header, this.planes, this.ceilings, this);
  }

  paint() {
    const frame = this.frame();
    writeFine(Boolean(frame.plane?.isLong));
    this.fetching.paint(frame);
    this.controls.paint(frame);
    for (const panel of Object.values(this.panels)) panel.paint(frame);
    const { dataset } = this.root;
    dataset.plane = frame.id;
    dataset.tokens = frame.tokens.join(",");
    dataset.versus = frame.versus.join(",");
    dataset.direction = frame.direction;
    dataset.painted = ++this.painted;
  }

  // What the panels call.

  /** Layers of a panel, those of the stream that is chosen first. */
  inOrder(layers) {
    const view = lookingAt(this.header, this);
    const order = [chosenStream(this.header, view), litStream(this.header, view)];
    return order.flatMap((name) => layers.filter((layer) => layer.name === name).slice(0, 1));
  }

  hover(found, event) {
    if (!found && !this.hovered && !this.pointed) return;
    this.pointed = found;
    this.hovered =
      found && !this.pinned && this.takesPart(found.stream) ? { stream: found.stream, tokens: [found.token] } : null;
    this.showTip(found, event);
    this.repaint();
  }

  drag(stream, tokens) {
    if (!this.takesPart(stream)) return;
    this.hovered = { stream, tokens };
    this.showTip(null);
    this.repaint();
  }

  click(stream, tokens) {
    if (!this.takesPart(stream)) return;
    const faced = facing(this.header, this.view, stream);
    const pinned = this.pinned && faced === this.view;
    const found = pin(faced, tokens, pinned, this.startTokens());
    this.hovered = null;
    this.pinned = found.pinned;
    this.look(found.view);
    this.announce();
  }

  /** The frame that is heard: it is asked while nothing is pinned, and marked in any case. */
  heard(found) {
    const isStill = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (isStill) {
      this.pointed = found;
      this.repaint();
    } else this.hover(found);
  }

  preview(plane) {
    this.previewed = plane;
    this.repaint();
  }

  choosePlane(plane) {
    this.previewed = null;
    this.look(withPlane(this.header, this.view, plane));
    this.announce();
  }

  turn() {
    this.look(turned(this.header, this.view));
    this.announce();
  }

  unpin() {
    const found = unpin(this.view, this.startTokens());
    this.pinned = found.pinned;
    this.look(found.view);
    this.announce();
  }

  /** Look at another view from now on, and tell so. */
  look(view) {
    this.view = view;
    this.repaint();
    this.on.view?.(view);
  }

  takesPart(stream) {
    const view = lookingAt(this.header, this);
    return stream === chosenStream(this.header, view) || stream === litStream(this.header, view);
  }

  wayOf(plane) {
    return tellWay(this.header, this.say, plane);
  }

  titleOf(frame) {
    return tellTitle(this.header, this.say, frame);
  }

  told(frame) {
    return tellFrame(this.header, this.say, frame, this.pinned);
  }

  /** Tell those who cannot see it what is looked at now. */
  announce() {
    clearTimeout(this.soon);
    this.soon = setTimeout(() => {
      const frame = this.frame();
      if (frame.plane)
        setText(this.controls.told, `${this.wayOf(frame.id)}. ${this.told({ ...frame, pointed: null })}`);
    }, 150);
  }

  showTip(found, event) {
    if (!found || !event || event.pointerType === "touch") return this.tip.hide();
    const frame = this.frame();
    const isTold = this.pinned && frame.amounts && found.stream === frame.lit;
    const amount = isTold ? `\n${tellAmount(frame, frame.amounts[found.token])}` : "";
    this.tip.show(this.header.streams[found.stream].place[found.token] + amount, event);
  }

  focus(event) {
    const token = event.target.closest?.("[data-token]");
    if (!token?.matches(":focus-visible")) return;
    const found = { stream: token.dataset.stream, token: Number(token.dataset.token) };
    this.hover(found);
    this.announceFocus(found);
  }

  announceFocus(found) {
    clearTimeout(this.soon); // a pin just before would talk over it
    const frame = this.frame();
    if (frame.plane) setText(this.controls.told, this.told({ ...frame, pointed: this.pinned ? found : null }));
  }

  /** Return or space on a token; a click of the mouse is followed by its pointer. */
  press(event) {
    const token = event.target.closest?.("[data-token]");
    if (token && event.detail === 0) this.click(token.dataset.stream, [Number(token.dataset.token)]);
  }

  close() {
    this.observer.disconnect();
    this.stopKeys();
    this.panels.sound.close();
    this.panels.calculator.close();
    this.fetching.close();
    this.moments.close();
    cancelAnimationFrame(this.due);
    this.root.remove();
  }
}
