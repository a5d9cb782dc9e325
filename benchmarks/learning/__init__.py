"""What is known after each save of a document, by method of learning. See `docs/learning.md`."""
