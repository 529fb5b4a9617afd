import { openapi } from "./document.js";
import { keyHeaders } from "./page/key.js";

await openapi();
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  tryItOutEnabled: true,
  docExpansion: "list",
  defaultModelExpandDepth: 5,
  defaultModelsExpandDepth: -1,
  requestInterceptor: (request) => Object.assign(request, { headers: { ...request.headers, ...keyHeaders() } }),
});
