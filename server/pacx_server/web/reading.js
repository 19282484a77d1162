/** One radiograph as one model reads it. */

import * as service from "./service.js";

function nameOf({ method, target, versus }) {
  return JSON.stringify([method, target ?? null, versus ?? null]);
}

/** The answers about a file, each asked for once. */
export class Reading {
  #file;
  #maps;

  constructor(file, film, prediction) {
    this.#file = file;
    this.film = film;
    this.prediction = prediction;
    this.#maps = new Map([[nameOf(prediction.attention), prediction.attention]]);
  }

  /** Ask the server about a file. @param {?string} model Name of a bundle; null for the default. */
  static async of(file, model, signal) {
    const [film, prediction] = await Promise.all([
      service.film(file, signal),
      service.predict(file, model, signal),
    ]);
    return new Reading(file, film, prediction);
  }

  /** The same radiograph as another model reads it. */
  async by(model, signal) {
    return new Reading(this.#file, this.film, await service.predict(this.#file, model, signal));
  }

  /** Where the model looked. @param {{method: string, target: ?string, versus: ?string}} choice */
  async map(choice, signal) {
    const name = nameOf(choice);
    if (!this.#maps.has(name)) {
      const question = { ...choice, model: this.prediction.model.name };
      this.#maps.set(name, await service.explain(this.#file, question, signal));
    }
    return this.#maps.get(name);
  }
}
