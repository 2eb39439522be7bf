from libs.backing_services.tests.conftest import project, warm_pytest

__all__ = ["project", "warm_pytest"]
