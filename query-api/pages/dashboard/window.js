// The form for the time range: predefined ranges, or two instants.

import { byId, el } from "./dom.js";
import { asField, asInstant, SPANS } from "./span.js";

/** Fills the form and keeps it equal to the view. `answered()` returns the last reply, or null. */
export function windowForm(view, answered) {
  const [from, to] = [byId("from"), byId("to")];
  for (const [key, { label }] of SPANS) {
    const choose = () => {
      const window = key === "custom" ? answered() : null;
      // A custom range starts with the one that is shown. Without a reply there is none yet.
      if (key === "custom" && !window) return show();
      view.change({ span: key, from: window ? whole(window.from) : "", to: window ? whole(window.to) : "" });
    };
    const input = el("input", { type: "radio", name: "span", value: key, change: choose });
    byId("spans").append(el("label", {}, input, el("span", {}, label)));
  }
  byId("window").addEventListener("submit", (event) => {
    event.preventDefault();
    view.change({ from: asInstant(from.value), to: asInstant(to.value) });
  });
  const show = () => {
    byId("spans").querySelector(`[value="${view.span}"]`).checked = true;
    byId("custom").hidden = view.span !== "custom";
    from.value = asField(view.from);
    to.value = asField(view.to);
  };
  view.on(["span", "from", "to"], show);
  show();
}

/** An instant cut to the minute, the precision of the fields. */
const whole = (instant) => asInstant(asField(instant));
