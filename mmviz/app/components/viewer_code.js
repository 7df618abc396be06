// Unpacks the script and the style sheet of the viewer, and hands them to viewer_loader.js. It shows nothing.
const bytes = Uint8Array.from(atob("PACKED"), (letter) => letter.charCodeAt(0));
const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
const { script, style } = await new Response(unpacked).json();
const address = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
const { default: component } = await import(address);
URL.revokeObjectURL(address);
(globalThis.mmvizViewers ??= new Map()).get("DIGEST")?.arrive({ component, style });
globalThis.mmvizViewers.set("DIGEST", { code: Promise.resolve({ component, style }) });

export default () => undefined;
