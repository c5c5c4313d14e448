"""Labels <-> text, both ways: the universal template, and labels read from free text."""
