"""HTTP: the application, its routes, request parsing, problem details."""
