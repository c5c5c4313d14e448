"""The command line: what the five commands share. Only here and in the commands is Hydra known."""
