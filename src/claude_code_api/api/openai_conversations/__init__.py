"""OpenAI's Conversations: the same conversations as everywhere, as lists of items."""
