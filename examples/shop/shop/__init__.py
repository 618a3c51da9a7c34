"""A small online shop whose slow work is done by background jobs."""
