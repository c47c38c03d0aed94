// The state of the view, which is kept in the address of the page, so that a link shows the same view.

import { DEFAULT, SPANS } from "./span.js";

const NAMES = ["span", "from", "to", "country", "user", "session"];

export class View {
  #listeners = [];

  constructor() {
    this.#read();
    addEventListener("popstate", () => {
      this.#read();
      this.#notify(NAMES);
    });
  }

  /** Calls `listener` when one of `names` changes. */
  on(names, listener) {
    this.#listeners.push({ names, listener });
  }

  /** Changes the view and adds an entry to the browser history. */
  change(values) {
    const changed = Object.keys(values).filter((name) => this[name] !== (values[name] ?? ""));
    if (changed.length === 0) return;
    Object.assign(this, ...changed.map((name) => ({ [name]: values[name] ?? "" })));
    const query = new URLSearchParams();
    for (const name of NAMES) {
      if (this[name] && !(name === "span" && this.span === DEFAULT)) query.set(name, this[name]);
    }
    history.pushState(null, "", query.size ? `?${query}` : location.pathname);
    this.#notify(changed);
  }

  #read() {
    const query = new URLSearchParams(location.search);
    for (const name of NAMES) this[name] = query.get(name) ?? "";
    for (const name of ["from", "to"]) if (Number.isNaN(Date.parse(this[name]))) this[name] = "";
    if (!SPANS.has(this.span) || (this.span === "custom" && !this.from)) this.span = DEFAULT;
  }

  #notify(changed) {
    for (const { names, listener } of this.#listeners) if (names.some((name) => changed.includes(name))) listener();
  }
}
