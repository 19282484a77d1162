/** The server's answers. The picture is sent as a bare body, so that no file name travels. */

const SIGNATURES = [
  { type: "image/png", bytes: [0x89, 0x50, 0x4e, 0x47] },
  { type: "image/jpeg", bytes: [0xff, 0xd8, 0xff] },
];

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

/** Find the media type by content; what is neither PNG nor JPEG goes as DICOM and is checked there. */
async function mediaType(file) {
  const head = new Uint8Array(await file.slice(0, 4).arrayBuffer());
  const known = SIGNATURES.find(({ bytes }) => bytes.every((byte, i) => head[i] === byte));
  return known ? known.type : "application/dicom";
}

async function problemOf(response) {
  const described = (response.headers.get("content-type") || "").includes("json");
  const body = described ? await response.json() : { title: `HTTP ${response.status}` };
  return new Problem(body);
}

async function post(path, file, accept, signal) {
  const headers = { "content-type": await mediaType(file), accept };
  let response;
  try {
    response = await fetch(path, { method: "POST", body: file, headers, signal });
  } catch (cause) {
    if (cause.name === "AbortError") throw cause;
    throw new Problem({ title: "The server cannot be reached", detail: "Is it still running?" });
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

/** Findings, facts and the attention grid of one radiograph. */
export async function predict(file, signal) {
  const response = await post("predict?include=attention", file, "application/json", signal);
  return response.json();
}

/** A map of one method: `{method, target, grid}`, the grid row by row. */
export async function explain(file, method, signal) {
  const query = new URLSearchParams({ method });
  return (await post(`explanations?${query}`, file, "application/json", signal)).json();
}

/** The windowed film alone, decoded by the server since browsers read no DICOM. */
export async function film(file, signal) {
  const response = await post("explanations?opacity=0&legend=false", file, "image/png", signal);
  return createImageBitmap(await response.blob(), { colorSpaceConversion: "none" });
}

/** Film, map and legend drawn by the server, as a PNG blob at the original resolution. */
export async function overlay(file, method, opacity) {
  const query = new URLSearchParams({ method, opacity: String(opacity) });
  return (await post(`explanations?${query}`, file, "image/png")).blob();
}
