"""The twelve calls that a pencil can count."""

from tests.models.conftest import twelve

__all__ = ["twelve"]
