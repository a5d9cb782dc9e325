"""What the built-in base is trained on, and with; run by `scripts/train_builtin_base.py`."""
