"""The servers that a user would pick instead, one module each, run by the Python of an environment of its own.

`python -m benchmarks.peers.mosec --port 8000 mlp cnn` serves networks at the paths of the Open Inference Protocol v2.
`requirements/<name>.txt` beside them is what the environment `.cache/bench/peers/<name>` is made of, once.
Each module's docstring says with which settings, meant for two cores, and whether others were compared.
"""
