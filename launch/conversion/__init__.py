"""Weights from one kind of folder into another, tensor by tensor."""
