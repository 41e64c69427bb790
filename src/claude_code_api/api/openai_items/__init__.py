"""Items, as OpenAI's Responses and Conversations have them: a way to look at a conversation's messages."""
