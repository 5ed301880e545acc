"""Pure functions over arrays, and the reading of text, images and sound."""
