/** Outlines of heart and lungs and the lines of the cardiothoracic ratio, where they were measured. */

const NAMESPACE = "http://www.w3.org/2000/svg";

/** What can be shown or hidden, and the parts of an answer's `anatomy` that belong to it. */
export const OUTLINES = [
  { name: "heart", part: "contours", keys: ["heart"] },
  { name: "lungs", part: "contours", keys: ["right_lung", "left_lung"] },
  { name: "ratio", part: "lines", keys: ["heart", "chest"] },
];

/**
 * Polylines of one kind, each a list of `[column, row]` in pixels of the film.
 * A contour may have several parts and is closed; a line has two ends.
 */
function lines({ part, keys }, anatomy) {
  const found = keys.map((key) => anatomy?.[part]?.[key]).filter(Boolean);
  return part === "contours" ? found.flat() : found;
}

/** Which outlines an answer has. @param {?object} anatomy */
export function available(anatomy) {
  return OUTLINES.filter((outline) => lines(outline, anatomy).length);
}

/** One SVG path of everything of a kind. */
function path(outline, anatomy) {
  const end = outline.part === "contours" ? "Z" : "";
  return lines(outline, anatomy)
    .map((points) => `M${points.map((point) => point.join(" ")).join("L")}${end}`)
    .join("");
}

/** Fill an SVG element that lies over the film. */
export function draw(svg, anatomy, { rows, columns }) {
  svg.setAttribute("viewBox", `0 0 ${columns} ${rows}`);
  const paths = available(anatomy).map((outline) => {
    const drawn = document.createElementNS(NAMESPACE, "path");
    drawn.setAttribute("class", outline.name);
    drawn.setAttribute("d", path(outline, anatomy));
    return drawn;
  });
  svg.replaceChildren(...paths);
}

/** Stroke the outlines that an SVG element shows onto a canvas of the film's size. */
export function stroke(context, svg) {
  for (const drawn of svg.children) {
    const { stroke: colour, strokeDasharray: dashes, display } = getComputedStyle(drawn);
    if (display === "none") continue;
    context.strokeStyle = colour;
    context.setLineDash(dashes === "none" ? [] : dashes.split(",").map(Number.parseFloat));
    context.stroke(new Path2D(drawn.getAttribute("d")));
  }
  context.setLineDash([]);
}

/** Create the element that `draw` fills. */
export function sheet() {
  const svg = document.createElementNS(NAMESPACE, "svg");
  svg.setAttribute("class", "outlines");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  return svg;
}
