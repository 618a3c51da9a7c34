"""`jobpools up`: the control loop without a cluster, on YAML files, child processes and an embedded Valkey."""
