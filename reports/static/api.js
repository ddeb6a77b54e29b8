// Without validatorUrl a page that is not on localhost would ask another host about our description of the API.
SwaggerUIBundle({ url: "/openapi.json", dom_id: "#api", deepLinking: true, defaultModelsExpandDepth: 0, validatorUrl: null });
