"""How switches' own files become canonical records: declarations, mapping, rating; the shipped declarations."""
