// Gives Streamlit a small stand-in for a file that is too large, so that the page can refuse it in its own words.
// The stand-in has the file's name, the type `standIn`, and the file's size in bytes as its content.
(({ limit, standIn, accept }) => {
  const isGuarded = window.mmvizSuggested !== undefined;
  window.mmvizSuggested = accept; // another model may take other files
  if (isGuarded) return;
  const UPLOADER = "[data-testid=stFileUploader]";
  const INPUT = "[data-testid=stFileUploaderDropzoneInput]";
  const uploaderOf = (event) => event.target.closest?.(UPLOADER);

  const giveStandIn = (uploader, file) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([String(file.size)], file.name, { type: standIn }));
    const input = uploader.querySelector(INPUT);
    input.files = transfer.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  };

  // At the document and while the event is captured, which is before Streamlit's own listeners.
  const onFiles = (event, files) => {
    const uploader = uploaderOf(event);
    const file = [...(files ?? [])].find(({ size }) => size > limit);
    if (!uploader || !file) return;
    event.stopImmediatePropagation();
    event.preventDefault();
    if (event.type === "drop") {
      // without files, only to end Streamlit's drawing of a file that hovers
      event.target.dispatchEvent(
        new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: new DataTransfer() }),
      );
    }
    giveStandIn(uploader, file);
  };
  document.addEventListener("change", (event) => onFiles(event, event.target.files), true);
  document.addEventListener("drop", (event) => onFiles(event, event.dataTransfer?.files), true);

  // Streamlit would refuse other endings by itself if it had this list; in the file chooser it is a suggestion.
  const suggest = (event) => {
    const uploader = uploaderOf(event);
    const suggested = window.mmvizSuggested;
    const modality = Object.keys(suggested).find((name) => uploader?.closest(`.st-key-${name}-sources`));
    if (modality) uploader.querySelector(INPUT).accept = suggested[modality];
  };
  document.addEventListener("pointerdown", suggest, true);
  document.addEventListener("keydown", suggest, true);
})
