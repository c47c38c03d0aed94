// Creates the parts of the page: one view state, one status line, and the sections.

import { byId } from "./dom.js";
import { Events } from "./events.js";
import { keyForm } from "./keyform.js";
import { Starts } from "./starts.js";
import { Status } from "./status.js";
import { User } from "./user.js";
import { View } from "./view.js";
import { windowForm } from "./window.js";

const view = new View();
const status = new Status();
const starts = new Starts(view, status.reporter("starts"));
const events = new Events(status.reporter("events"));
const user = new User(view);
windowForm(view, () => starts.window);

/** Sends the requests of all sections. */
function ask() {
  starts.poll.now();
  events.poll.now();
  user.show();
}

let paused = false;

/** Stops all requests while the page is paused or hidden. */
function pauseOrResume() {
  const idle = paused || document.hidden;
  starts.poll.pause(idle);
  events.poll.pause(idle);
  status.pause(idle);
}

byId("pause").addEventListener("click", () => {
  paused = !paused;
  byId("pause").setAttribute("aria-pressed", String(paused));
  pauseOrResume();
});
document.addEventListener("visibilitychange", pauseOrResume);

keyForm(ask);
ask();
pauseOrResume();
