// Configures Swagger UI for Keyward.
window.onload = () => {
  // After one of these operations Swagger UI uses the new access token.
  const issuesTokens = /\/auth\/(login|refresh|reauthenticate)$|\/orgs\/[^/]+\/switch$/;
  const authorise = (response) => {
    const path = new URL(response.url, window.location.href).pathname;
    if (response.ok && issuesTokens.test(path) && response.body && response.body.access_token) {
      window.ui.authActions.authorizeWithPersistOption({
        session: {
          name: "session",
          schema: { type: "http", scheme: "bearer" },
          value: response.body.access_token,
        },
      });
    }
    return response;
  };
  window.ui = SwaggerUIBundle({
    url: "../openapi.json",
    dom_id: "#swagger-ui",
    deepLinking: true,
    persistAuthorization: true,
    tryItOutEnabled: true,
    displayRequestDuration: true,
    docExpansion: "list",
    validatorUrl: null,
    presets: [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset],
    plugins: [SwaggerUIBundle.plugins.DownloadUrl],
    layout: "StandaloneLayout",
    responseInterceptor: authorise,
  });
};
