"""A language server that retrains a `.dlm` document's LoRA adapter on every save."""

__all__ = ["__version__"]

__version__ = "0.1.0"
