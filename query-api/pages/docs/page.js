// Shows the description of the API with every call ready to be tried. Asks nothing but the service that served it.

/** How much of a reply is shown, in characters: of millions the browser would stand still. */
const LONGEST = 200_000;

SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#calls",
  deepLinking: true,
  tryItOutEnabled: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  responseInterceptor(response) {
    const length = response.text?.length ?? 0;
    // The description itself comes this way too, and is needed whole.
    if (length <= LONGEST || response.url.endsWith("/openapi.json")) return response;
    const shown = `${response.text.slice(0, LONGEST)}\n\n… of ${length} characters: ask with curl for all of it`;
    return Object.assign(response, { text: shown, data: shown, body: undefined, obj: undefined });
  },
  // The badge would tell a server elsewhere where this one is.
  validatorUrl: null,
});
