"""How an adapter learns. Importing this package, or its `protocol`, imports nothing heavy."""

__all__: list[str] = []
