// Scrolls the page to the viewer as soon as it is there, once for each number that the page counts its selections by.
window.mmvizScrollToViewer ??= (() => {
  const PLACE = ".st-key-viewer-place";
  const LOWEST = 200; // pixels: the viewer is higher once it has drawn itself
  const PATIENCE = 20_000; // milliseconds until the viewer is there
  const SETTLING = 1_500; // milliseconds in which what is above it may still move it
  const BY_HAND = ["wheel", "touchstart", "pointerdown", "keydown"];
  let latest = 0;
  let stop = () => {};

  // The mouse does not point at what has come to lie under it until it moves itself: that would be shown instead.
  const shield = document.createElement("div");
  shield.style.cssText = "position:absolute;inset:0;z-index:100";
  shield.addEventListener("pointerdown", () => shield.remove());
  shield.addEventListener("pointermove", ({ movementX, movementY }) => (movementX || movementY) && shield.remove());

  return (serial) => {
    if (serial === latest) return;
    latest = serial;
    stop();
    let isStopped = false;
    stop = () => {
      isStopped = true;
      for (const kind of BY_HAND) document.removeEventListener(kind, stop, true);
    };
    for (const kind of BY_HAND) document.addEventListener(kind, stop, true);
    let end = performance.now() + PATIENCE;
    let shown = null; // the element that was scrolled to
    const scroll = () => {
      if (performance.now() > end) stop();
      if (isStopped) return;
      const place = document.querySelector(PLACE);
      if (place?.clientHeight >= LOWEST) {
        place.scrollIntoView({ block: "start" });
        if (shown === null) end = performance.now() + SETTLING;
        if (shown !== place && matchMedia("(hover: hover)").matches) place.append(shield);
        shown = place;
      }
      requestAnimationFrame(scroll);
    };
    scroll();
  };
})();
