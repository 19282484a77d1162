"""How often a model says of a picture that it is unlike chest films."""
