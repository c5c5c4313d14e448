"""What every room builds on: records, labels, requests to vision LLMs, images, runs, the ledger. Free of torch."""
