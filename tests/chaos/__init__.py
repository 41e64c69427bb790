"""`make chaos`: conversations that each carry a growing list, while all around them goes wrong.

Not part of `make test`: it runs as long as it is told to. Processes and the server are killed and frozen, the disk is
full, the clock jumps. At the end every conversation must recite its whole list, nobody else's words in it, every
acknowledged turn must be in the store exactly once, and no process may be left.
"""
