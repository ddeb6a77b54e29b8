"""One pass of the monitor over one model: everything is read as values, decided without a database, and then committed."""
