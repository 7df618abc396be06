// The path of one attention: shows its steps one after the other. With reduced motion all steps stand still at first.
const PACE = 2000; // milliseconds a step
const mounts = new WeakMap(); // by the element that Streamlit gives

export default function ({ data, parentElement }) {
  let mount = mounts.get(parentElement);
  if (!mount) mounts.set(parentElement, (mount = createMount(parentElement)));
  mount.update(data);
  return () => {
    mount.pause();
    mount.root.remove();
    mounts.delete(parentElement);
  };
}

function createMount(parentElement) {
  const root = document.createElement("div");
  root.className = "path";
  parentElement.append(root);
  const mount = { root, timer: null, step: 0, count: 0, isPlaying: false, data: {} };
  const stages = () => root.querySelectorAll(".stage");

  const show = (step, isMoving) => {
    mount.step = Math.min(Math.max(step, 1), mount.count);
    root.dataset.step = String(mount.step);
    root.classList.toggle("moving", isMoving);
    for (const stage of stages()) {
      const own = Number(stage.dataset.step);
      stage.classList.toggle("ahead", own > mount.step);
      stage.classList.toggle("now", own === mount.step);
    }
  };

  const writePlay = () => {
    const button = root.querySelector("[data-button=play]");
    if (button) button.textContent = mount.data.buttons[mount.isPlaying ? "pause" : "play"];
    root.dataset.playing = String(mount.isPlaying);
  };

  mount.pause = () => {
    clearTimeout(mount.timer);
    mount.isPlaying = false;
    writePlay();
  };

  const advance = () => {
    if (mount.step >= mount.count) return mount.pause();
    show(mount.step + 1, true);
    mount.timer = setTimeout(advance, PACE);
  };

  mount.play = () => {
    mount.isPlaying = true;
    writePlay();
    if (mount.step >= mount.count) show(1, true);
    mount.timer = setTimeout(advance, PACE);
  };

  const move = (by) => {
    mount.pause();
    show(mount.step + by, true);
  };

  const addButtons = ({ buttons }) => {
    const row = document.createElement("div");
    row.className = "buttons";
    const add = (name, text, label, onClick) => {
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.button = name;
      button.textContent = text;
      if (label) button.setAttribute("aria-label", label);
      button.addEventListener("click", onClick);
      row.append(button);
    };
    add("back", "←", buttons.back, () => move(-1));
    add("play", buttons.play, "", () => (mount.isPlaying ? mount.pause() : mount.play()));
    add("on", "→", buttons.on, () => move(1));
    root.append(row);
  };

  mount.update = (data) => {
    const isSame = data.svg === mount.data.svg && data.buttons.play === mount.data.buttons?.play;
    const { step } = data;
    if (isSame && step === mount.data.step) return;
    const before = isSame ? mount.step : 0;
    mount.data = data;
    mount.pause();
    if (!isSame) {
      root.innerHTML = data.svg; // made by the server, texts escaped
      if (step === null) addButtons(data);
    }
    mount.count = stages().length;
    const isStill = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (step !== null) show(step, step !== before);
    else if (isStill) show(mount.count, false);
    else {
      show(1, true);
      mount.play();
    }
    writePlay();
  };
  return mount;
}
