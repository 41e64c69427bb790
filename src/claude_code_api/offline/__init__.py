"""The offline model: a loopback Messages API for trying things out. It is a stand-in, and its answers say so.

The real Claude Code CLI talks to it, so everything but the model is real: tests and benchmarks stand on it as well.
"""
