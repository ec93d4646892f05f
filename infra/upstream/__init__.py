"""What is installed in a cluster as its makers publish it, by content."""
