"""From data to trained PyTorch networks to `models/`: measured, exported to ONNX and verified before they appear."""
