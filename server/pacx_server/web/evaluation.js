/** One evaluation in the list: how it stands, how far it is, and what can be done about it. */

import { element } from "./element.js";

const ENDED = ["succeeded", "failed", "cancelled"];
const MOMENT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** A button whose name also says which evaluation it is about. */
function button(text, about, act) {
  const made = element("button", { type: "button", "aria-label": `${text} ${about}` }, text);
  made.addEventListener("click", () => act(made));
  return made;
}

/** What people call an evaluation. */
export function title({ created_at: created, options }) {
  return `${MOMENT.format(new Date(created))} · ${options.protocols.join(", ")}`;
}

/** Its node stays the same while it changes, so that the focus stays where it is. */
export class Entry {
  /**
   * @param {object} job As the server describes it.
   * @param {{open: Function, cancel: Function, remove: Function}} acts Each takes the job's id.
   */
  constructor(job, { open, cancel, remove }) {
    this.id = job.id;
    const about = `the evaluation of ${title(job)}`;
    this.state = element("span", { class: "standing" });
    this.detail = element("p", { class: "fine" });
    this.bar = element("progress", { "aria-label": `Progress of ${about}` });
    this.open = button("Open report", `of ${about}`, () => open(job.id));
    this.cancel = button("Cancel", about, () => cancel(job.id));
    this.remove = button("Delete", about, (pressed) => this.#sure(pressed, about, remove));
    const acts = element("div", { class: "choices" }, this.open, this.cancel, this.remove);
    const head = element("p", {}, element("b", {}, title(job)), " ", this.state);
    this.node = element("li", { "data-id": job.id }, head, this.bar, this.detail, acts);
    this.update(job);
  }

  /** Show a newer description; answers whether the state is another one. */
  update(job) {
    const changed = this.state.textContent !== job.state;
    const over = ENDED.includes(job.state);
    this.state.textContent = job.state;
    this.node.dataset.state = job.state;
    this.open.hidden = job.state !== "succeeded";
    this.cancel.hidden = over;
    this.bar.hidden = over;
    this.#advance(over ? null : job.progress);
    if (job.failure) this.detail.textContent = `${job.failure.detail} (${job.failure.code})`;
    return changed;
  }

  #advance(progress) {
    this.detail.textContent = progress ? `${progress.doing}: ${progress.done} of ${progress.total}` : "";
    if (progress?.total) {
      this.bar.max = progress.total;
      this.bar.value = progress.done;
    } else {
      this.bar.removeAttribute("value");
    }
  }

  /** A report that is deleted is gone, so the button wants to be pressed twice. */
  #sure(pressed, about, remove) {
    if (pressed.dataset.sure) return remove(this.id);
    const name = (text) => {
      pressed.textContent = text;
      pressed.setAttribute("aria-label", `${text} ${about}`);
    };
    pressed.dataset.sure = "yes";
    name("Delete for good");
    pressed.addEventListener(
      "blur",
      () => {
        delete pressed.dataset.sure;
        name("Delete");
      },
      { once: true },
    );
  }
}
