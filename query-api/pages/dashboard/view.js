// What the reader looks at, as the address of the page says it: a link shows the same to whoever follows it.

import { DEFAULT, SPANS } from "./span.js";

const NAMES = ["span", "from", "to", "country", "user", "session"];

export class View {
  #readers = [];

  constructor() {
    this.#read();
    addEventListener("popstate", () => {
      this.#read();
      this.#tell(NAMES);
    });
  }

  /** Calls `reader` with the names that change, when one of `names` does. */
  on(names, reader) {
    this.#readers.push({ names, reader });
  }

  /** Goes to another view; the way back stays. */
  change(values) {
    const changed = Object.keys(values).filter((name) => this[name] !== (values[name] ?? ""));
    if (changed.length === 0) return;
    Object.assign(this, ...changed.map((name) => ({ [name]: values[name] ?? "" })));
    const query = new URLSearchParams();
    for (const name of NAMES) {
      if (this[name] && !(name === "span" && this.span === DEFAULT)) query.set(name, this[name]);
    }
    history.pushState(null, "", query.size ? `?${query}` : location.pathname);
    this.#tell(changed);
  }

  #read() {
    const query = new URLSearchParams(location.search);
    for (const name of NAMES) this[name] = query.get(name) ?? "";
    for (const name of ["from", "to"]) if (Number.isNaN(Date.parse(this[name]))) this[name] = "";
    if (!SPANS.has(this.span) || (this.span === "custom" && !this.from)) this.span = DEFAULT;
  }

  #tell(changed) {
    for (const { names, reader } of this.#readers) if (names.some((name) => changed.includes(name))) reader();
  }
}
