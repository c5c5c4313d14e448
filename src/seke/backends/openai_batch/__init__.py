"""A client for OpenAI's Batch API and for `vllm run-batch`."""
