"""The command line: what the six commands share. Only here and in the commands is Hydra known."""
