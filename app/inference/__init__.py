"""Tensors to tensors: knows no HTTP and no folder."""
