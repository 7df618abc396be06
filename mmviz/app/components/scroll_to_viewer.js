// Scrolls the page to the viewer as soon as it is there, once for each number that the page counts its selections by.
window.mmvizScrollToViewer ??= (() => {
  const PLACE = ".st-key-viewer-place";
  const LOWEST = 200; // pixels: the viewer is higher once it has drawn itself
  const PATIENCE = 20_000; // milliseconds
  let latest = 0;

  return (serial) => {
    if (serial === latest) return;
    latest = serial;
    const end = performance.now() + PATIENCE;
    const scroll = () => {
      const place = document.querySelector(PLACE);
      if (place?.clientHeight >= LOWEST) place.scrollIntoView({ block: "start" });
      else if (serial === latest && performance.now() < end) requestAnimationFrame(scroll);
    };
    scroll();
  };
})();
