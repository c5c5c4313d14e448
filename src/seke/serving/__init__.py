"""A local page on which one tries a model: drop a picture, see what the model says of it."""
