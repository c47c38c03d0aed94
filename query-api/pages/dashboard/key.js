// The API key of this tab. It is sent in a header, and never becomes part of an address.

/** The documentation page uses the same name, so one key serves both pages. */
const NAME = "bookend-api-key";

let key = stored();
let listener = () => {};

/** The key, or "" if there is none. */
export const current = () => key;

/** Keeps a key until the tab is closed; "" forgets it. */
export function keep(value) {
  key = value;
  try {
    if (value) sessionStorage.setItem(NAME, value);
    else sessionStorage.removeItem(NAME);
  } catch {
    // The browser stores nothing for this page. The key lasts until the page is closed.
  }
}

/** Calls `call(used, message)` when the service asks for a key (`used` is ""), or refuses the one that it got. */
export function onRefusal(call) {
  listener = call;
}

/** Reports a refusal of the key `used`. It does not matter if another key has replaced that one. */
export function refused(used, message) {
  if (used === key) listener(used, message);
}

function stored() {
  try {
    return sessionStorage.getItem(NAME) ?? "";
  } catch {
    return "";
  }
}
