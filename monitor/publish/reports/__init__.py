"""Reports: facts -> documents, in Chinese."""
