"""jobpools without a cluster: YAML files, worker processes, an embedded Valkey."""
