from fixtures import engine, isolation

__all__ = ["engine", "isolation"]
