"""kopf decorators only: parse, hand over, return."""
