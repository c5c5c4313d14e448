"""Answers -> labels: by rules, by an LLM, by a rubric; and how far two judges agree."""
