const api = new URLSearchParams(location.search).get("api");
window.ui = SwaggerUIBundle({
  url: api ? `/openapi/${encodeURIComponent(api)}.json` : "/openapi.json",
  dom_id: "#page",
  deepLinking: true,
  persistAuthorization: true,
  validatorUrl: null,
});
