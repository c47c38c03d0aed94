// The hint for an empty service: a command that sends a batch.

import { byId, setText } from "./dom.js";
import { current } from "./key.js";

const EVENTS_URL = new URL("../v1/events", import.meta.url);
const MINUTE = 60_000;

/** Shows the hint while no country is known. `to` is the end of the window in the reply. */
export function welcome(isEmpty, to) {
  byId("welcome").hidden = !isEmpty;
  if (!isEmpty) return;
  // Uses the service's clock, not the browser's. The window ends 5 minutes ahead of now, so earlier times are safe.
  const at = (minutes) => new Date(Date.parse(to) - minutes * MINUTE).toISOString();
  const events = [
    { user_id: "u1", session_id: "s1", event: "start", ts: at(30), country: "SK" },
    { user_id: "u1", session_id: "s1", event: "end", ts: at(15) },
  ];
  const lines = events.map((event) => `  ${JSON.stringify(event)}`).join(",\n");
  // The shell knows the key, and the command may be copied to anywhere.
  const key = current() ? ' -H "Authorization: Bearer $BOOKEND_API_KEY"' : "";
  setText(byId("welcome-command"), `curl -X POST ${EVENTS_URL}${key} -d '[\n${lines}\n]'`);
}
