// Puts the page together: one view, one state, and the parts that show it.

import { byId } from "./dom.js";
import { Events } from "./events.js";
import { Starts } from "./starts.js";
import { Status } from "./status.js";
import { User } from "./user.js";
import { View } from "./view.js";
import { windowForm } from "./window.js";

const view = new View();
const status = new Status();
const starts = new Starts(view, status.of("starts"));
const events = new Events(status.of("events"));
const user = new User(view);
windowForm(view, () => starts.window);

let paused = false;

/** Nobody is asked anything while the reader paused the page or cannot see it. */
function goOnOrPause() {
  const idle = paused || document.hidden;
  starts.poll.pause(idle);
  events.poll.pause(idle);
  status.pause(idle);
}

byId("pause").addEventListener("click", () => {
  paused = !paused;
  byId("pause").setAttribute("aria-pressed", String(paused));
  goOnOrPause();
});
document.addEventListener("visibilitychange", goOnOrPause);

starts.poll.now();
events.poll.now();
user.show();
goOnOrPause();
