// Asks the server whether this page may connect to it, and shows why not: by itself, the page would stay empty.
(() => {
  const TIMEOUT = 5000; // milliseconds that a proxy may take to open the connection
  const PAUSE = 500; // milliseconds until the second try
  const address = new URL("_stcore/stream", document.baseURI);
  address.search = new URLSearchParams({ check: "", lang: new URLSearchParams(location.search).get("lang") ?? "" });

  const show = (html) => {
    document.getElementById("mmviz-refusal-layer")?.remove();
    document.getElementById("root")?.toggleAttribute("inert", html !== "");
    if (html === "") return;
    const layer = document.createElement("div");
    layer.id = "mmviz-refusal-layer";
    layer.innerHTML = html; // the server's own, with every name in it escaped
    document.body.append(layer);
  };

  // Where no WebSocket connection opens, a plain request tells why.
  const explain = async () => {
    const plain = new URL(address);
    plain.searchParams.set("origin", location.origin);
    const response = await fetch(plain).catch(() => null);
    if (!isAnswered && response?.headers.has("x-mmviz-refusal")) show(await response.text());
  };

  // The placeholder gives way to the page once that is drawn, see prerendered_page.py.
  const drawing = new MutationObserver(() => {
    if (!document.querySelector("[data-testid=stMain] :is(h1, input, .note)")) return;
    document.getElementById("mmviz-placeholder")?.remove();
    drawing.disconnect();
  });
  drawing.observe(document, { childList: true, subtree: true });

  let isAnswered = false;
  const ask = (triesLeft) => {
    const socket = new WebSocket(address.href.replace(/^http/, "ws"));
    const timer = setTimeout(() => socket.close(), TIMEOUT);
    socket.addEventListener("message", ({ data }) => {
      isAnswered = true;
      show(data);
    });
    socket.addEventListener("close", () => {
      clearTimeout(timer);
      if (isAnswered) return;
      if (triesLeft) setTimeout(ask, PAUSE, triesLeft - 1);
      else explain();
    });
  };
  ask(1);
})();
