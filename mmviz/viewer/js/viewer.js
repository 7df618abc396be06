// The linked viewer of one run: a token that is pointed at in one panel lights up the tokens of all panels.
import { playingWords } from "./answerAttention.js";
import { Announcer } from "./announcer.js";
import { AttentionMaps } from "./attentionRows.js";
import { StepsStore } from "./attentionSteps.js";
import { Controls } from "./controls.js";
import { make } from "./dom.js";
import { currentView, makeFrame } from "./drawnAmounts.js";
import { listenToKeys } from "./keyboard.js";
import { describeFrame, describeMap, describeSelection } from "./labels.js";
import { writeSmallAmounts } from "./numberFormat.js";
import { layOutPanels, makePanels, placeModalityBars } from "./panelLayout.js";
import { SectionFetcher } from "./sectionFetcher.js";
import { readColours } from "./theme.js";
import { listenToTokenButtons } from "./tokenKeyboard.js";
import { targetTokens } from "./tokenPointer.js";
import { TokenLinks } from "./tokenLinks.js";
import { Tooltip } from "./tooltip.js";
import { TrainingTimeline } from "./trainingTimeline.js";
import { fitToWidth } from "./breakpoints.js";
import { answerTokens, choose, chosenStream, litStream, sameTokens, unpin, withMap, withOtherDirection } from "./viewState.js";

/**
 * A viewer in the element `host`, of a decoded container `data`. Calls `on.view(view)` when the view changes, and
 * `on.need(names)` with the names of sections that are missing, such as map/0:mean (an empty list: the whole run is).
 * Without `on.need` they cannot be had. Panels have `build(streams)`, `resize()`, `paint(frame)`, some `destroy()`.
 */
export class Viewer {
  constructor(host, data, on) {
    this.on = on;
    this.attnMaps = new AttentionMaps();
    this.steps = new StepsStore();
    this.header = data.header;
    this.isTouch = matchMedia("(pointer: coarse)").matches;
    this.isComparing = false; // whether the next tap adds a token to compare with
    this.scale = 1;
    this.root = make("div", { class: "mmviz", "data-mmviz": "viewer", role: "group", lang: this.header.language });
    this.say = this.say.bind(this);
    this.root.setAttribute("aria-label", this.say("viewer"));
    host.append(this.root);
    this.fetcher = new SectionFetcher(this);
    this.controls = new Controls(this);
    this.announcer = new Announcer(this, this.controls.announcement);
    this.timeline = new TrainingTimeline(this);
    this.panels = makePanels(this);
    this.tooltip = new Tooltip(this);
    this.links = new TokenLinks(this.panels);
    this.root.append(this.controls.element, this.timeline.element, ...layOutPanels(this), this.links.element, this.tooltip.element);
    this.painted = 0;
    this.isDestroyed = false;
    this.stopListeningToKeys = listenToKeys(this);
    listenToTokenButtons(this);
    this.root.addEventListener("transitionend", (event) => event.target === this.root && this.recolour());
    this.resizeObserver = new ResizeObserver(() => this.resize());
    this.resizeObserver.observe(this.root);
    this.show(data);
  }

  /** Shows what was sent: another run, another view, or more sections of the run that is shown. */
  show(data) {
    if (!data.header.streams) {
      if (data.header.run !== this.header?.run) return this.on.need?.([]);
      const isAwaited = !this.attnMaps.get(this.view.map);
      this.attnMaps.addSections(data, this.header);
      this.steps.addSections(data, this.header);
      this.fetcher.markReceived(Object.keys(data.header.sections));
      this.header.source = data.header.source;
      if (isAwaited && this.attnMaps.get(this.view.map)) this.announcer.announceView();
      return this.repaint();
    }
    const isOtherRun = this.data?.header.run !== data.header.run;
    this.data = data;
    this.header = data.header;
    this.attnMaps.addSections(data);
    this.steps.addSections(data);
    if (isOtherRun) {
      this.streams = [...new Set(this.header.maps.flatMap((map) => [map.queries, map.keys]))];
      this.fetcher.reset();
      this.scaleEnds = new Map();
      this.hovered = this.previewed = this.pointed = this.pressed = null;
      this.playingWords = [];
    }
    this.fetcher.markReceived(Object.keys(data.header.sections));
    if (isOtherRun || this.serial !== this.header.serial) {
      this.serial = this.header.serial;
      this.showView(this.header.view ?? this.header.initial_view);
    }
    if (isOtherRun) {
      placeModalityBars(this);
      for (const part of [this.controls, this.timeline, ...Object.values(this.panels)]) part.build(this.streams);
      this.root.dataset.run = this.header.run;
      this.root.dataset.ready = "false";
      this.panels.image.setBitmap(null);
      this.decodeImage(data);
    }
    this.recolour();
  }

  /** Shows a view that the host has chosen, without reporting it. */
  showView(view) {
    this.view = view;
    this.pinned = view.versus.length > 0 || !sameTokens(view.tokens, this.startTokens());
    this.hovered = null;
    this.repaint();
  }

  /** Decodes the image of a run. Marks the viewer as ready once it has been drawn. */
  async decodeImage(data) {
    const isCurrent = () => !this.isDestroyed && this.header.run === data.header.run;
    if (!(await this.panels.image.decode(data.section("image"), isCurrent))) return;
    this.resize();
    this.readyFrame = requestAnimationFrame(() => {
      this.readyFrame = requestAnimationFrame(() => {
        this.root.dataset.ready = "true";
        this.fetcher.background.start();
      });
    });
  }

  /** Returns the sentence of a code, for a touch screen its own, with its {names} filled in. Throws where there is none. */
  say(code, values = {}) {
    const { texts } = this.header;
    if (this.isTouch && `${code}-touch` in texts) return this.say(code + "-touch", values);
    const template = texts[code];
    if (template === undefined) throw new Error(`no text for ${code}`);
    return template.replace(/\{(\w+)\}/g, (_, name) => values[name]);
  }

  /** Returns the tokens that are chosen while nothing is pinned. */
  startTokens() {
    const { initial_view: initial } = this.header;
    const isSameStream = chosenStream(this.header, initial) === chosenStream(this.header, this.view);
    return isSameStream ? initial.tokens : answerTokens(this.header, this.view);
  }

  /** Follows the colours of the page, which may turn dark or light at any time. */
  recolour() {
    const colours = readColours(this.root);
    if (JSON.stringify(colours) !== JSON.stringify(this.colours)) this.colours = colours;
    this.repaint();
  }

  resize() {
    Object.assign(this, fitToWidth(this.root));
    for (const panel of Object.values(this.panels)) panel.resize();
    this.repaint();
  }

  /** Paints in the next animation frame, once however often it is called. */
  repaint() {
    if (this.isDestroyed) return;
    this.paintFrame ??= requestAnimationFrame(() => {
      this.paintFrame = null;
      if (this.root.clientWidth) this.paint();
    });
  }

  makeFrame() {
    return makeFrame(this.header, this.attnMaps, this.scaleEnds, this.state);
  }

  /** What the pointer and the view make of a frame. */
  get state() {
    const { view, hovered, previewed, pointed, playingWords } = this;
    return { view, hovered, previewed, pointed, playingWords };
  }

  paint() {
    const frame = this.makeFrame();
    writeSmallAmounts(Boolean(frame.attnMap?.isPooled));
    this.fetcher.paint(frame);
    this.controls.paint(frame);
    for (const panel of Object.values(this.panels)) panel.paint(frame);
    this.links.paint(frame, this.isNarrow || this.previewed ? null : this.hovered);
    const { dataset } = this.root;
    dataset.map = frame.mapRef;
    dataset.tokens = frame.tokens.join(",");
    dataset.versus = frame.versus.join(",");
    dataset.direction = frame.direction;
    dataset.painted = ++this.painted;
  }

  // What the panels call.

  /** Returns the layers of a panel (one for each stream that it draws) that can be pointed at, the chosen stream first. */
  inOrder(layers) {
    const view = currentView(this.header, this);
    const order = [chosenStream(this.header, view), litStream(this.header, view)];
    return order.flatMap((name) => layers.filter((layer) => layer.name === name).slice(0, 1));
  }

  /** Shows the attention of the {stream, token} under the pointer; while tokens are pinned, reads its amount instead. */
  hover(target, event) {
    if (!target && !this.hovered && !this.pointed) return;
    this.pointed = target;
    const isChoice = target && !this.pinned && this.isShown(target.stream);
    this.hovered = isChoice ? { stream: target.stream, tokens: targetTokens(target) } : null;
    this.tooltip.describe(target, event);
    this.repaint();
  }

  /** Shows the mean attention of a group of tokens while it is pointed at. */
  drag(stream, tokens) {
    if (!this.isShown(stream)) return;
    this.hovered = { stream, tokens };
    this.tooltip.hide();
    this.repaint();
  }

  /** Pins tokens, or unpins them; `how` as `howChosen` returns it. */
  click(stream, tokens, how = "pin") {
    if (!this.isShown(stream)) return;
    const next = choose(this.header, this, stream, tokens, how, this.startTokens());
    this.isComparing = false;
    this.hovered = null;
    this.change(next.view, next.pinned);
  }

  /** Points at the {stream, token} that the audio plays; with reduced motion it is marked, and the view stays. */
  followPlayback(target, time) {
    const attnMap = this.attnMaps.get(this.view.map);
    this.playingWords = target && attnMap ? playingWords(this.header, attnMap, time) : [];
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
      this.pointed = target;
      this.repaint();
    } else this.hover(target);
  }

  /** Shows another map while its thumbnail is pointed at; null ends it. */
  preview(mapRef) {
    this.previewed = mapRef;
    this.repaint();
  }

  chooseMap(mapRef) {
    this.previewed = null;
    this.change(withMap(this.header, this.view, mapRef));
  }

  toggleDirection() {
    this.change(withOtherDirection(this.header, this.view));
  }

  /** Makes the next tap add a token to compare with, or no longer. */
  toggleComparing() {
    this.isComparing = !this.isComparing;
    this.repaint();
  }

  unpin() {
    const next = unpin(this.view, this.startTokens());
    this.change(next.view, next.pinned);
  }

  /** Shows another view from now on, reports it, and says it to screen readers. */
  change(view, pinned = this.pinned) {
    this.pinned = pinned;
    this.setView(view);
    this.announcer.announceView();
  }

  /** Shows another view from now on, and reports it. */
  setView(view) {
    this.view = view;
    this.repaint();
    this.on.view?.(view);
  }

  /** Whether the tokens of a stream are queries or keys of the map that is shown. */
  isShown(stream) {
    const view = currentView(this.header, this);
    return stream === chosenStream(this.header, view) || stream === litStream(this.header, view);
  }

  describeMap(mapRef) {
    return describeMap(this.header, this.say, mapRef);
  }

  describeSelection(frame) {
    return describeSelection(this.header, this.say, frame);
  }

  describeFrame(frame) {
    return describeFrame(this.header, this.say, frame, this.pinned);
  }

  /** Removes the viewer and everything that would keep it alive: listeners, observers, timers and animation frames. */
  destroy() {
    this.isDestroyed = true;
    this.resizeObserver.disconnect();
    this.stopListeningToKeys();
    for (const panel of Object.values(this.panels)) panel.destroy?.();
    this.fetcher.destroy();
    this.timeline.destroy();
    this.announcer.destroy();
    cancelAnimationFrame(this.paintFrame);
    cancelAnimationFrame(this.readyFrame);
    this.root.remove();
  }
}
