// Shows the description of the API with every call ready to be tried. Asks nothing but the service that served it.
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#calls",
  deepLinking: true,
  tryItOutEnabled: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  // The badge would tell a server elsewhere where this one is.
  validatorUrl: null,
});
