"""What a document has taught, answered over HTTP in the shape that other tools speak."""

__all__: list[str] = []
