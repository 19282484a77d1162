/** The question for a key, where the server wants one. The key lives in this page's memory only. */

const at = (id) => document.getElementById(id);

/**
 * Ask for a key.
 * @param {boolean} refused Whether a key has been tried in vain.
 * @returns {Promise<?string>} The key, or null if the user gives none.
 */
export function askForKey(refused) {
  const dialog = at("access");
  at("access-refused").hidden = !refused;
  at("key").value = "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener(
      "close",
      () => {
        resolve(dialog.returnValue === "give" ? at("key").value : null);
        at("key").value = "";
      },
      { once: true },
    );
  });
}
