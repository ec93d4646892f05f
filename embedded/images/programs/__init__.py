"""Entry points of containers, copied into images as single files."""
