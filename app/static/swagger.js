SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  tryItOutEnabled: true,
  docExpansion: "list",
  defaultModelExpandDepth: 5,
  defaultModelsExpandDepth: -1,
});
