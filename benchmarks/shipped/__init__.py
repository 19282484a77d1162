"""The model that ships: its films, and what it is worth before and after stage 2."""
