"""What each process offers to its operators: log lines, HTTP endpoints and metrics. Shared by worker and operator."""
