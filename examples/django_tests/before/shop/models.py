"""Orders of a shop on Django."""

from django.db import models


class Order(models.Model):
    total: "models.IntegerField[int, int]" = models.IntegerField()

    def __str__(self) -> str:
        return f"order {self.pk}: {self.total}"
