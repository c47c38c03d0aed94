// The choice of a window: a click, the arrow keys, or two instants typed. What it means, the span says.

import { byId, el } from "./dom.js";
import { asField, asInstant, SPANS } from "./span.js";

/** Fills the form and keeps it as the view is; `answered()` is the window that was answered last. */
export function windowForm(view, answered) {
  const [from, to] = [byId("from"), byId("to")];
  for (const [key, { label }] of SPANS) {
    const choose = () => {
      const window = key === "custom" ? answered() : null;
      // Who chooses a window of their own begins with the one that is shown; until there is one, there is nothing to begin with.
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

/** The minute that an instant lies in, which is as fine as the fields are. */
const whole = (instant) => asInstant(asField(instant));
