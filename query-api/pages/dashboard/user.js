// Looks up a user: the last complete sessions, the open ones and the orphans, more of each when asked, and one explained.

import { ask } from "./api.js";
import { byId, el, fill, say } from "./dom.js";
import { explanation } from "./explain.js";
import { counted } from "./format.js";
import { sessionOf, timeline } from "./timeline.js";

/** What a session may be; each is a question of its own. */
const STATUSES = ["complete", "open", "orphan"];
const LIMIT = 20;
const NOUN = {
  complete: ["complete session", "complete sessions"],
  open: ["open session", "open sessions"],
  orphan: ["orphan", "orphans"],
};

export class User {
  #view;
  #asking = null;
  #explaining = null;
  #lists = new Map();

  constructor(view) {
    this.#view = view;
    byId("look-up").addEventListener("submit", (event) => {
      event.preventDefault();
      const user = byId("user-id").value;
      // Whoever asks for the same user again wants the answer of now.
      if (user === view.user) this.show();
      else view.change({ user, session: "" });
    });
    view.on(["user"], () => this.show());
    view.on(["session"], () => this.#explain());
  }

  /** Asks for the sessions of the view's user. */
  async show() {
    this.#asking?.abort();
    const { user } = this.#view;
    byId("user-id").value = user;
    this.#lists.clear();
    this.#draw();
    if (user === "") return say(byId("user-summary"), "");
    say(byId("user-summary"), "Asking");
    await this.#answer(STATUSES);
    this.#explain();
  }

  /** Asks for a page of each of `statuses`, one after another. */
  async #answer(statuses) {
    const asking = new AbortController();
    this.#asking = asking;
    const { user } = this.#view;
    try {
      for (const status of statuses) {
        const known = this.#lists.get(status);
        const params = { status, limit: LIMIT, ...(known?.next ? { cursor: known.next } : {}) };
        const reply = await ask(["v1", "users", user, "sessions"], params, asking.signal);
        const sessions = reply.sessions.map((session) => sessionOf(session, status));
        this.#lists.set(status, { sessions: [...(known?.sessions ?? []), ...sessions], next: reply.next });
      }
      this.#draw();
      fill(byId("user-summary"), this.#summary());
    } catch (error) {
      if (!asking.signal.aborted) say(byId("user-summary"), `No answer: ${error.message}.`);
    }
  }

  #summary() {
    const { user } = this.#view;
    const parts = STATUSES.flatMap((status) => {
      const { sessions, next } = this.#lists.get(status);
      if (sessions.length === 0) return [];
      return [next ? `the last ${counted(sessions.length, ...NOUN[status])}` : counted(sessions.length, ...NOUN[status])];
    });
    // An id may turn the direction of writing; it turns nothing but itself.
    const whose = el("bdi", {}, user);
    if (parts.length === 0) return ["No session of the user “", whose, "” is known within the last year."];
    return ["User “", whose, `”: ${parts.join(", ")}.`];
  }

  #draw() {
    const sessions = [...this.#lists.values()].flatMap((list) => list.sessions);
    sessions.sort((a, b) => b.at - a.at || (a.id < b.id ? -1 : 1));
    const choose = (session) => this.#view.change({ session: session === this.#view.session ? "" : session });
    fill(byId("sessions"), sessions.length > 0 ? timeline(sessions, choose) : []);
    const more = STATUSES.filter((status) => this.#lists.get(status)?.next).map((status) => {
      const click = async () => {
        await this.#answer([status]);
        this.#explain();
      };
      return el("button", { type: "button", "data-key": `more ${status}`, click }, `Earlier ${NOUN[status][1]}`);
    });
    fill(byId("more-sessions"), more);
  }

  /** Explains the view's session where it is listed, or above the list when it is not. */
  async #explain() {
    this.#explaining?.abort();
    const { user, session } = this.#view;
    byId("sessions").querySelectorAll(".explanation").forEach((old) => old.remove());
    let place = byId("sessions");
    for (const button of place.querySelectorAll("button.session")) {
      const chosen = button.dataset.key === session && session !== "";
      button.setAttribute("aria-expanded", String(chosen));
      if (chosen) place = button.parentElement;
    }
    if (user === "" || session === "") return;
    const explaining = new AbortController();
    this.#explaining = explaining;
    const shown = el("div", { class: "explanation", role: "status" }, "Asking");
    if (place === byId("sessions")) place.prepend(shown);
    else place.append(shown);
    try {
      const reply = await ask(["v1", "users", user, "sessions", session], {}, explaining.signal);
      fill(shown, explanation(reply));
    } catch (error) {
      if (!explaining.signal.aborted) fill(shown, [`Session “${session}”: ${error.message}.`]);
    }
  }
}
