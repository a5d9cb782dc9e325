"""How long a save takes, and what of that is not arithmetic. Each measure is a module; the package runs them all."""
