"""Pure decisions: what a session does next, who gets a slot, what of a history is new. No I/O, no clock."""
