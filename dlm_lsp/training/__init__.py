"""How an adapter learns. Importing this package, or its `protocol`, imports nothing heavy."""
