"""The cache that answers queries, `warehouse.duckdb`: made by `cache`, read by `reader`."""
