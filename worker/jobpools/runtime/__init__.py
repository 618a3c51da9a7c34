"""The worker: it imports an app, claims jobs, runs handlers and renews leases; and its supervisor."""
