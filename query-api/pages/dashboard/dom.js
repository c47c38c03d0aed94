// Makes and fills elements. What came from elsewhere is text, never markup: there is no other way to write here.

/** The element with this id. */
export const byId = (id) => document.getElementById(id);

/** An element with attributes and children; a child is an element or a text. A function is listened to, `false` left out. */
export function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(key, value);
    else if (value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

/** Shows `text` in `element`, and touches nothing when it is there already: who listens to the page hears it once. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Shows a text, or hides its element when there is none. */
export function notice(element, text) {
  say(element, text ?? "");
  element.hidden = !text;
}

/** Fills `parent` anew. What had the focus keeps it, by its `data-key`. */
export function fill(parent, children) {
  const key = parent.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  parent.replaceChildren(...children);
  if (key === undefined) return;
  parent.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
}
