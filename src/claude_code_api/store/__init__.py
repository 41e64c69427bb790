"""What survives a restart: conversations and their turns. The only room that knows a database."""
