"""How long a save takes, and what of it is not arithmetic: each measure a module, `python -m benchmarks.speed` all."""
