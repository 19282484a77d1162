/** Swagger UI on this server's OpenAPI document; validatorUrl would send it elsewhere. */
SwaggerUIBundle({ url: "openapi.json", dom_id: "#swagger-ui", validatorUrl: null });
