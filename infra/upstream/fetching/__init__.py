"""The sources of upstream's parts: fetched from a Go module, git, a mirror or an archive into the cache."""
