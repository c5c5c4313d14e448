"""Readers: one file per instruction set, from the files its owners ship to conversations with pictures (`row.Row`)."""
