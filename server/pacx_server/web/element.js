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

/** A share of one, as whole percent. */
export function percent(share) {
  return `${Math.round(share * 100)} %`;
}
