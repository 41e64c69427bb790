"""What runs: one actor a conversation, the pool of process slots, the janitor, the guard. Owns every lifecycle."""
