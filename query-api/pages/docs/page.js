// Shows the description of the API with every call ready to be tried. Asks nothing but the service that served it.

/** How much of a reply is shown, in characters: of millions the browser would stand still. */
const LONGEST = 200_000;
const DAY = 86_400_000;
const TIME = /("ts":\s*")(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(Z?")/g;

/** The examples of what is sent, as `{ value }` each. */
function sent(description) {
  const calls = Object.values(description.paths).flatMap((path) => Object.values(path));
  const bodies = calls.flatMap((call) => Object.values(call.requestBody?.content ?? {}));
  return bodies.flatMap((body) => Object.values(body.examples ?? {}));
}

/**
 * Where an example of what is sent is older than a year by the service's own clock, or yet to come, moves all of them by the same
 * number of days to before an hour ago: such an event is not kept, and who sends one wants to be told of it afterwards.
 */
async function renew(description) {
  const answer = await fetch("v1/session-starts/counts?hours=1&country=ZZ");
  if (!answer.ok) return;
  const hourAgo = Date.parse((await answer.json()).from);
  const examples = sent(description);
  // One that is text is one of lines of JSON.
  const text = ({ value }) => (typeof value === "string" ? value : JSON.stringify(value));
  const found = examples.flatMap((example) => [...text(example).matchAll(TIME)]);
  const times = found.map(([, , time]) => Date.parse(`${time}Z`));
  if (times.every((time) => hourAgo - 365 * DAY < time && time < hourAgo)) return;
  const days = Math.floor((hourAgo - Math.max(...times)) / DAY) * DAY;
  const moved = (time) => new Date(Date.parse(`${time}Z`) + days).toISOString().slice(0, 19);
  for (const example of examples) {
    const renewed = text(example).replace(TIME, (_, before, time, after) => before + moved(time) + after);
    example.value = typeof example.value === "string" ? renewed : JSON.parse(renewed);
  }
}

async function show() {
  const answer = await fetch("openapi.json");
  const spec = await answer.json();
  // Examples that are old are better than none.
  await renew(spec).catch(console.warn);
  SwaggerUIBundle({
    spec,
    dom_id: "#calls",
    deepLinking: true,
    tryItOutEnabled: true,
    displayRequestDuration: true,
    defaultModelsExpandDepth: 0,
    responseInterceptor(response) {
      const length = response.text?.length ?? 0;
      if (length <= LONGEST) return response;
      const shown = `${response.text.slice(0, LONGEST)}\n\n… of ${length} characters: ask with curl for all of it`;
      return Object.assign(response, { text: shown, data: shown, body: undefined, obj: undefined });
    },
    // The badge would tell a server elsewhere where this one is.
    validatorUrl: null,
  });
}

show().catch((error) => {
  document.querySelector("#calls").textContent = `The description of the API could not be shown: ${error.message}`;
});
