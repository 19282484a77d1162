/** How files come in: chosen, dropped or pasted. */

/** Tell `take` each file that arrives; only the first of several is meant. */
export class Intake {
  /** @param {HTMLInputElement} input @param {(file: File) => void} take */
  constructor(input, take) {
    this.input = input;
    input.addEventListener("change", () => {
      if (input.files.length) take(input.files[0]);
      input.value = "";
    });
    document.addEventListener("dragover", (event) => this.#hover(event, true));
    document.addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) this.#hover(event, false);
    });
    document.addEventListener("drop", (event) => {
      this.#hover(event, false);
      if (event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
    });
    document.addEventListener("paste", (event) => {
      if (event.clipboardData.files.length) take(event.clipboardData.files[0]);
    });
  }

  /** Let the user choose a file. */
  choose() {
    this.input.click();
  }

  #hover(event, over) {
    event.preventDefault();
    document.body.classList.toggle("receiving", over);
  }
}
