"""A table to an endpoint: what stands in a CSV or Parquet file becomes a recipe, which goes the road of all recipes."""
