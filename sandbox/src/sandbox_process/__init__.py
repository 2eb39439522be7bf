"""How the programs of the sandbox start, listen and stop: what each process needs and none is about."""

from sandbox_process.process import listen, load_settings, run, serve_http

__all__ = ["listen", "load_settings", "run", "serve_http"]
