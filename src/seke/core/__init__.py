"""Foundation of every room: records, labels, requests to vision LLMs, images, runs, the ledger. Free of torch."""
