"""HTTP: the application, its routes, request parsing, problem details.

Predictions go past the framework's middleware and routing: `prediction_routes` lists their paths, `prediction_handler`
answers every one of them, and each speaks one of the `protocols`. All else is in `routes`, one file per concern.
"""
