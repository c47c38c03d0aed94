// The sessions of a user: the newest complete sessions, open sessions and orphans, further pages, and the explanation of one.

import { fetchJson } from "./api.js";
import { byId, el, fill, setText } from "./dom.js";
import { explanation } from "./explain.js";
import { count, counted } from "./format.js";
import { sessionOf, timeline } from "./timeline.js";

/** The possible states of a session. Each one is a separate request. */
const STATUSES = ["complete", "open", "orphan"];
const LIMIT = 20;
const NOUN = {
  complete: ["complete session", "complete sessions"],
  open: ["open session", "open sessions"],
  orphan: ["orphan", "orphans"],
};

export class User {
  #view;
  #request = null;
  #explaining = null;
  #lists = new Map();

  constructor(view) {
    this.#view = view;
    byId("search").addEventListener("submit", (event) => {
      event.preventDefault();
      const user = byId("user-id").value;
      // A repeated search for the same user refreshes the list.
      if (user === view.user) this.show();
      else view.change({ user, session: "" });
    });
    view.on(["user"], () => this.show());
    view.on(["session"], () => this.#explain());
  }

  /** Loads the sessions of the user in the view. */
  async show() {
    this.#request?.abort();
    const { user } = this.#view;
    byId("user-id").value = user;
    this.#lists.clear();
    this.#draw();
    if (user === "") return setText(byId("user-summary"), "");
    setText(byId("user-summary"), "Loading");
    await this.#load(STATUSES);
    this.#explain();
  }

  /** Loads the next page of each of `statuses`, one after the other. */
  async #load(statuses) {
    const request = new AbortController();
    this.#request = request;
    const { user } = this.#view;
    try {
      for (const status of statuses) {
        const known = this.#lists.get(status);
        const params = { status, limit: LIMIT, ...(known?.next ? { cursor: known.next } : {}) };
        const reply = await fetchJson(["v1", "users", user, "sessions"], params, request.signal);
        const sessions = reply.sessions.map((session) => sessionOf(session, status));
        this.#lists.set(status, { sessions: [...(known?.sessions ?? []), ...sessions], next: reply.next });
      }
      this.#draw();
      fill(byId("user-summary"), this.#summary());
    } catch (error) {
      if (!request.signal.aborted) setText(byId("user-summary"), `The sessions cannot be shown: ${error.message}.`);
    }
  }

  #summary() {
    const { user } = this.#view;
    const parts = STATUSES.flatMap((status) => {
      const { sessions, next } = this.#lists.get(status);
      if (sessions.length === 0) return [];
      return [next ? `the ${count(sessions.length)} newest ${NOUN[status][1]}` : counted(sessions.length, ...NOUN[status])];
    });
    // Isolates an id that contains right-to-left characters from the text around it.
    const name = el("bdi", {}, user);
    if (parts.length === 0) return ["User “", name, "” has no sessions within the last year."];
    return ["User “", name, `”: ${parts.join(", ")}.`];
  }

  #draw() {
    const sessions = [...this.#lists.values()].flatMap((list) => list.sessions);
    sessions.sort((a, b) => b.at - a.at || (a.id < b.id ? -1 : 1));
    const choose = (session) => this.#view.change({ session: session === this.#view.session ? "" : session });
    fill(byId("sessions"), sessions.length > 0 ? timeline(sessions, choose) : []);
    const more = STATUSES.filter((status) => this.#lists.get(status)?.next).map((status) => {
      const click = async () => {
        await this.#load([status]);
        this.#explain();
      };
      return el("button", { type: "button", "data-key": `more ${status}`, click }, `Show earlier ${NOUN[status][1]}`);
    });
    fill(byId("more-sessions"), more);
  }

  /** Shows the explanation of the view's session below its entry, or above the list if it is not listed. */
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
    const shown = el("div", { class: "explanation", role: "status" }, "Loading");
    if (place === byId("sessions")) place.prepend(shown);
    else place.append(shown);
    try {
      const reply = await fetchJson(["v1", "users", user, "sessions", session], {}, explaining.signal);
      fill(shown, explanation(reply));
    } catch (error) {
      if (!explaining.signal.aborted) fill(shown, [`Session “${session}” cannot be shown: ${error.message}.`]);
    }
  }
}
