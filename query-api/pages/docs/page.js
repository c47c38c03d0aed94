// Shows the OpenAPI document with Swagger UI, with every request ready to send. It never contacts a host other than its service.

/** How many characters of a reply are shown. Swagger UI colours each word, so long replies freeze the browser. */
const MAX_SHOWN = 50_000;
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
/** Where this tab keeps its API key. The dashboard uses the same name. */
const KEY = "bookend-api-key";
const TIME = /("ts":\s*")(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(Z?")/g;

/** The API key of this tab, or "". */
function storedKey() {
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}

/** Keeps a key until the tab is closed; "" forgets it. */
function keepKey(value) {
  try {
    if (value) sessionStorage.setItem(KEY, value);
    else sessionStorage.removeItem(KEY);
  } catch {
    // The browser stores nothing for this page. Swagger UI keeps the key until the page is closed.
  }
}

/** Keeps what a reader enters under “Authorize”. Swagger UI itself could only keep it for all tabs, beyond their end. */
const keepingKey = () => ({
  statePlugins: {
    auth: {
      wrapActions: {
        authorize: (authorize) => (given) => {
          keepKey(Object.values(given)[0]?.value ?? "");
          return authorize(given);
        },
        logout: (logout) => (names) => {
          keepKey("");
          return logout(names);
        },
      },
    },
  },
});

/** The examples of all request bodies, each as `{ value }`. */
function requestExamples(description) {
  const calls = Object.values(description.paths).flatMap((path) => Object.values(path));
  const bodies = calls.flatMap((call) => Object.values(call.requestBody?.content ?? {}));
  return bodies.flatMap((body) => Object.values(body.examples ?? {}));
}

/** One hour ago by the clock of the service, or of the browser if the service does not tell. */
async function hourAgo() {
  const headers = storedKey() ? { authorization: `Bearer ${storedKey()}` } : {};
  const answer = await fetch("v1/session-starts/counts?hours=1&country=ZZ", { headers, redirect: "error" });
  return answer.ok ? Date.parse((await answer.json()).from) : Date.now() - HOUR;
}

/**
 * Moves the examples into the retention: the service discards events older than a year and rejects future ones, and a reader
 * who sends an example should find it in later replies. All times move by the same number of days, to before `latest`, if any
 * example would not be accepted.
 */
function moveToRetention(description, latest) {
  const examples = requestExamples(description);
  // An example that is a string holds lines of JSON.
  const text = ({ value }) => (typeof value === "string" ? value : JSON.stringify(value));
  const found = examples.flatMap((example) => [...text(example).matchAll(TIME)]);
  const times = found.map(([, , time]) => Date.parse(`${time}Z`));
  if (times.every((time) => latest - 365 * DAY < time && time < latest)) return;
  const days = Math.floor((latest - Math.max(...times)) / DAY) * DAY;
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
  await hourAgo().then((latest) => moveToRetention(spec, latest)).catch(console.warn);
  const page = SwaggerUIBundle({
    spec,
    dom_id: "#calls",
    deepLinking: true,
    tryItOutEnabled: true,
    displayRequestDuration: true,
    defaultModelsExpandDepth: 0,
    plugins: [keepingKey],
    onComplete: () => storedKey() && page.preauthorizeApiKey("bearer", storedKey()),
    // A redirect could lead the key to another host.
    requestInterceptor: (request) => Object.assign(request, { redirect: "error" }),
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
