/** Elements of the page. Text is always text, so nothing that a bundle says becomes markup. */

/**
 * @param {string} tag
 * @param {Record<string, string|boolean|number>} attributes `class`, `aria-*`, ...; false is left out.
 * @param {...(Node|string)} children
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false && value !== undefined) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

/** A share of one as percent, with a decimal where it is small. */
export function percent(share) {
  const hundredths = share * 100;
  if (hundredths > 0 && hundredths < 0.1) return "< 0.1 %";
  return `${hundredths.toFixed(hundredths < 10 ? 1 : 0)} %`;
}
