// Shows the OpenAPI document with Swagger UI, with every request ready to send. It never contacts a host other than its service.

/** How many characters of a reply are shown. Millions of characters would freeze the browser. */
const MAX_SHOWN = 200_000;
const DAY = 86_400_000;
const TIME = /("ts":\s*")(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(Z?")/g;

/** The examples of all request bodies, each as `{ value }`. */
function requestExamples(description) {
  const calls = Object.values(description.paths).flatMap((path) => Object.values(path));
  const bodies = calls.flatMap((call) => Object.values(call.requestBody?.content ?? {}));
  return bodies.flatMap((body) => Object.values(body.examples ?? {}));
}

/**
 * Moves the examples into the retention: the service discards events older than a year and rejects future ones, and a reader
 * who sends an example should find it in later replies. All times move by the same number of days, to before one hour ago, if
 * any example would not be accepted by the service's own clock.
 */
async function moveToRetention(description) {
  const answer = await fetch("v1/session-starts/counts?hours=1&country=ZZ");
  if (!answer.ok) return;
  const hourAgo = Date.parse((await answer.json()).from);
  const examples = requestExamples(description);
  // An example that is a string holds lines of JSON.
  const text = ({ value }) => (typeof value === "string" ? value : JSON.stringify(value));
  const found = examples.flatMap((example) => [...text(example).matchAll(TIME)]);
  const times = found.map(([, , time]) => Date.parse(`${time}Z`));
  if (times.every((time) => hourAgo - 365 * DAY < time && time < hourAgo)) return;
  const days = Math.floor((hourAgo - Math.max(...times)) / DAY) * DAY;
  const move = (time) => new Date(Date.parse(`${time}Z`) + days).toISOString().slice(0, 19);
  for (const example of examples) {
    const moved = text(example).replace(TIME, (_, before, time, after) => before + move(time) + after);
    example.value = typeof example.value === "string" ? moved : JSON.parse(moved);
  }
}

async function show() {
  const answer = await fetch("openapi.json");
  const spec = await answer.json();
  // Outdated examples are better than none.
  await moveToRetention(spec).catch(console.warn);
  SwaggerUIBundle({
    spec,
    dom_id: "#calls",
    deepLinking: true,
    tryItOutEnabled: true,
    displayRequestDuration: true,
    defaultModelsExpandDepth: 0,
    responseInterceptor(response) {
      const length = response.text?.length ?? 0;
      if (length <= MAX_SHOWN) return response;
      const shown = `${response.text.slice(0, MAX_SHOWN)}\n\n… ${length} characters in total: use curl to get the complete reply`;
      return Object.assign(response, { text: shown, data: shown, body: undefined, obj: undefined });
    },
    // The validator badge would send the address of this service to another host.
    validatorUrl: null,
  });
}

show().catch((error) => {
  document.querySelector("#calls").textContent = `The API description cannot be shown: ${error.message}. Reload the page, or open openapi.json.`;
});
