"""The only importer of `kubernetes`: client, pure manifests, cluster, report, lease."""
