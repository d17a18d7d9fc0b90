"""Tensors in, tensors out: loads a coder with its HEF adapter and completes at a cursor.

Importing this package, `model.settings` or `model.completer` does not import torch; `model.weights` does.
"""
