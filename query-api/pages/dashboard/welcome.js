// What a newcomer sees while the service knows of no session: how to post a batch.

import { byId, say } from "./dom.js";

const URL_OF_EVENTS = new URL("../v1/events", import.meta.url);
const MINUTE = 60_000;

/** Shows the way in while no country is known; `to` is where the service's window ends. */
export function welcome(isEmpty, to) {
  byId("welcome").hidden = !isEmpty;
  if (!isEmpty) return;
  // By the service's clock, not by the reader's, and well before the window's end, which lies a little ahead of now.
  const at = (minutes) => new Date(Date.parse(to) - minutes * MINUTE).toISOString();
  const events = [
    { user_id: "u1", session_id: "s1", event: "start", ts: at(30), country: "SK" },
    { user_id: "u1", session_id: "s1", event: "end", ts: at(15) },
  ];
  const lines = events.map((event) => `  ${JSON.stringify(event)}`).join(",\n");
  say(byId("welcome-command"), `curl -X POST ${URL_OF_EVENTS} -d '[\n${lines}\n]'`);
}
