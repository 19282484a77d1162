"""Whether the maps of a model show what it used, on real films."""
