/** The dialog of evaluations: asked for, watched while it is open, cancelled, deleted, opened. */

import { Entry, title } from "./evaluation.js";
import * as service from "./service.js";

const POLL_MS = 1000;
const at = (id) => document.getElementById(id);

/** By id, what is listed. */
const entries = new Map();
let watching = false;

function say(text) {
  at("evaluations-said").textContent = text;
}

function show(error) {
  at("evaluations-problem").textContent = [error.title, error.message, error.code].filter(Boolean).join(" · ");
  at("evaluations-problem").hidden = false;
}

/** Do something that the user asked for; what goes wrong is said. */
async function attempt(act) {
  at("evaluations-problem").hidden = true;
  try {
    await act();
    await refresh();
  } catch (error) {
    show(error);
  }
}

function list(jobs) {
  const nodes = jobs.map((job) => {
    const known = entries.get(job.id);
    if (known?.update(job)) say(`The evaluation of ${title(job)}: ${job.state}.`);
    const entry = known ?? new Entry(job, { open, cancel, remove });
    entries.set(job.id, entry);
    return entry.node;
  });
  const listed = new Set(jobs.map(({ id }) => id));
  for (const [id, entry] of entries) {
    if (listed.has(id)) continue;
    entry.node.remove();
    entries.delete(id);
  }
  // A node that is put where it is already would lose the focus.
  const shown = at("evaluation-list");
  nodes.forEach((node, place) => {
    if (shown.children[place] !== node) shown.insertBefore(node, shown.children[place] ?? null);
  });
  at("evaluations-none").hidden = jobs.length > 0;
}

async function refresh() {
  list(await service.evaluations());
}

/** Ask again and again while the dialog is open; a refusal ends it, a server that is away does not. */
async function watch() {
  if (watching) return;
  watching = true;
  while (at("evaluations").open) {
    try {
      await refresh();
    } catch (error) {
      show(error);
      if (error.code) break;
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  watching = false;
}

function open(id) {
  return attempt(async () => {
    window.open(await service.reportAddress(id), "_blank", "noopener");
  });
}

function cancel(id) {
  return attempt(() => service.cancelEvaluation(id));
}

function remove(id) {
  return attempt(async () => {
    await service.deleteEvaluation(id);
    say("The evaluation is deleted.");
    at("evaluations-title").focus();
  });
}

async function submit(archive) {
  const boxes = [...document.querySelectorAll("#evaluation-form [type=checkbox]:checked")];
  at("evaluate").disabled = true;
  say("Sending the films.");
  await attempt(async () => {
    await service.evaluate(archive, boxes.map(({ value }) => value));
    at("evaluation-form").reset();
    say("The evaluation is queued.");
  });
  at("evaluate").disabled = false;
  watch();
}

/** Keep a file that is dropped or pasted here from being read as a radiograph. */
function keep(event) {
  event.stopPropagation();
  if (event.type === "paste") return;
  event.preventDefault();
  if (event.type === "drop" && event.dataTransfer.files.length) at("archive").files = event.dataTransfer.files;
}

/** Wire the button and the dialog. */
export function listen() {
  const dialog = at("evaluations");
  at("evaluations-open").addEventListener("click", () => {
    at("evaluations-problem").hidden = true;
    dialog.showModal();
    watch();
  });
  at("evaluation-form").addEventListener("submit", (event) => {
    event.preventDefault();
    submit(at("archive").files[0]);
  });
  for (const type of ["dragover", "drop", "paste"]) dialog.addEventListener(type, keep);
}
