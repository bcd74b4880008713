"""The demonstration: the whole life of a model, on this machine, with real parts.

It starts the embedded control plane, a real MLflow server and the real operator, trains and registers real models,
and moves them to production and back under load, counting every request.
"""
