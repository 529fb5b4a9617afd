"""Plain `nn.Module`s. Each is built from the training split's inputs and targets, which its scaling is fitted on."""
