"""Names, checks and rows of AnnData; no networks."""
