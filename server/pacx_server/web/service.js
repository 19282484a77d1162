/** The server's answers. Files travel without their names; a key stays in this page's memory. */

let key = "";
let unlocking = null;
let askForKey = async () => null;

/** What went wrong, as the server's problem+json (RFC 9457) says it. */
export class Problem extends Error {
  /** @param {{title?: string, detail?: string, code?: string, request_id?: string}} body */
  constructor({ title, detail, code, request_id: requestId }) {
    super(detail || "The server gave no reason.");
    this.title = title || "The server could not answer";
    this.code = code || "";
    this.requestId = requestId || "";
  }
}

/** @param {(refused: boolean) => Promise<?string>} ask Gets a key from the user, null for none. */
export function onLocked(ask) {
  askForKey = ask;
}

/** Ask for a key once, however many requests wait for it. */
function unlock(refused) {
  unlocking ??= askForKey(refused)
    .then((given) => {
      key = given || key;
      return Boolean(given);
    })
    .finally(() => {
      unlocking = null;
    });
  return unlocking;
}

async function problemOf(response) {
  const described = (response.headers.get("content-type") || "").includes("json");
  return new Problem(described ? await response.json() : { title: `HTTP ${response.status}` });
}

async function send(path, options) {
  const headers = { accept: "application/json", ...options.headers };
  if (key) headers.authorization = `Bearer ${key}`;
  try {
    return await fetch(path, { ...options, headers, cache: "no-store" });
  } catch (cause) {
    if (cause.name === "AbortError") throw cause;
    throw new Problem({ title: "The server cannot be reached", detail: "Is it still running?" });
  }
}

async function request(path, options = {}) {
  for (;;) {
    const used = key;
    const response = await send(path, options);
    if (response.ok) return response;
    const again = response.status === 401 && (key !== used || (await unlock(used !== "")));
    if (!again) throw await problemOf(response);
  }
}

/** Send one file; the server finds out by its content what it is. */
function post(path, query, file, options) {
  const known = Object.entries(query).filter(([, value]) => value !== null && value !== undefined);
  const body = new FormData();
  body.append("file", file, "radiograph");
  return request(`${path}?${new URLSearchParams(known)}`, { ...options, method: "POST", body });
}

/** What is being served. */
export async function models() {
  return (await request("models")).json();
}

/** Findings, facts and an attention map of one radiograph. */
export async function predict(file, model, signal) {
  return (await post("predict", { model, include: "attention" }, file, { signal })).json();
}

/** A map: `{method, target, versus, grid, signed, focus}`, the grid row by row. */
export async function explain(file, { model, method, target, versus }, signal) {
  return (await post("explanations", { model, method, target, versus }, file, { signal })).json();
}

/** The windowed film alone, decoded by the server since browsers read no DICOM. */
export async function film(file, signal) {
  const headers = { accept: "image/png" };
  const bare = { opacity: 0, legend: false, crop: "none" };
  const response = await post("explanations", bare, file, { headers, signal });
  return createImageBitmap(await response.blob(), { colorSpaceConversion: "none" });
}

/** The caller's evaluations, the newest first. */
export async function evaluations() {
  return (await request("evaluations")).json();
}

/** Ask for an evaluation of the films in an archive, which travels without its name. */
export async function evaluate(archive, protocols) {
  const query = new URLSearchParams(protocols.map((protocol) => ["protocol", protocol]));
  const body = new FormData();
  body.append("file", archive, "films");
  return (await request(`evaluations?${query}`, { method: "POST", body })).json();
}

/** End an evaluation; answers how it stands then. */
export async function cancelEvaluation(id) {
  return (await request(`evaluations/${id}/cancel`, { method: "POST" })).json();
}

/** Delete an evaluation with its report. */
export async function deleteEvaluation(id) {
  await request(`evaluations/${id}`, { method: "DELETE" });
}

/** An address that opens a report without a key, for some minutes. */
export async function reportAddress(id) {
  return (await (await request(`evaluations/${id}/link`, { method: "POST" })).json()).url;
}
