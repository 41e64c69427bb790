"""HTTP: one folder a dialect, and what they share."""
