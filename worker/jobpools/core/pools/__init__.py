"""What a WorkerPool needs: specs, facts, the number of workers, which workers go, status, and the plan."""
