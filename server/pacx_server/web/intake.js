/** How files come in: chosen, dropped or pasted. */

/** Tells which files arrived, and the pane they were dropped on, if any. */
export class Intake {
  /**
   * @param {HTMLInputElement} input
   * @param {(files: File[], pane: ?HTMLElement) => void} take
   */
  constructor(input, take) {
    this.input = input;
    input.addEventListener("change", () => {
      if (input.files.length) take([...input.files], null);
      input.value = "";
    });
    document.addEventListener("dragover", (event) => this.#hover(event, true));
    document.addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) this.#hover(event, false);
    });
    document.addEventListener("drop", (event) => {
      this.#hover(event, false);
      const { files } = event.dataTransfer;
      if (files.length) take([...files], event.target.closest(".pane"));
    });
    document.addEventListener("paste", (event) => {
      const { files } = event.clipboardData;
      if (files.length) take([...files], null);
    });
  }

  /** Let the user choose. */
  choose() {
    this.input.click();
  }

  #hover(event, over) {
    event.preventDefault();
    document.body.classList.toggle("receiving", over);
  }
}
