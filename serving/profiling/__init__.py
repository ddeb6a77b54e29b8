"""Running a learner over labelled data: making references, checking new data without a server."""
