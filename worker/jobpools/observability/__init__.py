"""Log lines, HTTP endpoints and metrics text, which worker and operator share."""
