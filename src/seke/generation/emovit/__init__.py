"""EmoVIT: instructions from captions and attributes of scenes."""
