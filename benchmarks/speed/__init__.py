"""How long a save takes, and what of that is not arithmetic: each measure a module, `python -m benchmarks.speed` all."""
