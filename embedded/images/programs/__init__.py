"""What containers start with: copied into images as single files, so they import nothing of ours."""
