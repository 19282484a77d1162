/** What to compare with: another radiograph, or the same one as another model reads it. */

import * as catalogue from "./catalogue.js";
import { element } from "./element.js";

const FILE = { value: "file", text: "Another radiograph" };

/**
 * Ask what to compare with; where only one model is served there is nothing to ask.
 * @param {string} current Name of the model that read the first radiograph.
 * @returns {Promise<string>} `file`, the name of a model, or nothing if the user thinks better of it.
 */
export async function chooseComparison(current) {
  const others = catalogue.models().filter(({ name }) => name !== current);
  if (!others.length) return FILE.value;
  const models = others.map(({ name, version }) => ({
    value: name,
    text: `This radiograph, read by ${name} ${version}`,
  }));
  return answer([FILE, ...models]);
}

function answer(choices) {
  const dialog = document.getElementById("comparison");
  const buttons = choices.map(({ value, text }) => element("button", { value }, text));
  dialog.querySelector(".choices").replaceChildren(...buttons);
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true });
  });
}
