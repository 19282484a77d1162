/** One radiograph as one model reads it. */

import * as service from "./service.js";

/** The answers about a file, each asked for once. */
export class Reading {
  #file;
  #maps;

  constructor(file, film, prediction) {
    this.#file = file;
    this.film = film;
    this.prediction = prediction;
    this.#maps = new Map([[`${prediction.attention.method} `, prediction.attention]]);
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

  /** Where the model looked. @param {{method: string, target: ?string}} choice */
  async map({ method, target }) {
    const name = `${method} ${target ?? ""}`;
    if (!this.#maps.has(name)) {
      const model = this.prediction.model.name;
      this.#maps.set(name, await service.explain(this.#file, { model, method, target }));
    }
    return this.#maps.get(name);
  }
}
