"""A client for any server that speaks OpenAI's chat.completions."""
