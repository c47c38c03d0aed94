// Creates and fills elements. Content is only ever inserted as text, never as markup.

/** Returns the element with this id. */
export const byId = (id) => document.getElementById(id);

/** Creates an element. Children are elements or strings; a function is an event listener; attributes that are `false` are omitted. */
export function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(key, value);
    else if (value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

/** Sets the text of `element`, but only if it changes, so that screen readers announce it once. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Shows a text, or hides the element if there is none. */
export function notice(element, text) {
  setText(element, text ?? "");
  element.hidden = !text;
}

/** Replaces the children of `parent`. The focus stays on the element with the same `data-key`. */
export function fill(parent, children) {
  const key = parent.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  parent.replaceChildren(...children);
  if (key === undefined) return;
  parent.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
}
