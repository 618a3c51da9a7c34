"""What a job is, what happens after an attempt, and which queue is claimed next."""
