// The form that asks for an API key, and the button that forgets it.

import { byId, notice } from "./dom.js";
import { current, keep, onRefusal } from "./key.js";

/** Connects the form; `retry()` repeats the requests of the page with a new key. */
export function keyForm(retry) {
  const field = byId("api-key");
  onRefusal((used, message) => {
    if (used) notice(byId("key-notice"), `The service refused this key: ${message}.`);
    keep("");
    const opens = byId("key").hidden;
    show(true);
    if (opens) field.focus();
  });
  byId("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    keep(field.value.trim());
    field.value = "";
    notice(byId("key-notice"), "");
    show(false);
    retry();
  });
  byId("forget-key").addEventListener("click", () => {
    keep("");
    // The page must not keep what only the key could read.
    location.reload();
  });
  show(false);
}

/** Shows the form alone, or the sections of the page. */
function show(asks) {
  byId("key").hidden = !asks;
  document.body.toggleAttribute("data-locked", asks);
  byId("forget-key").hidden = !current();
  // A link cannot send the key.
  byId("metrics-link").hidden = asks || current() !== "";
}
