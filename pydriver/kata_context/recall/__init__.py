"""What recall finds with: the index of words, and embeddings made by a model of the caller."""
