"""Images packed into files: WebDataset tars and Parquet files with image bytes, unpacked below the cache root."""
