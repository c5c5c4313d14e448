"""What finished runs hold, read once for tables and figures."""
