"""The shop that the examples are about."""

from pydantic import BaseModel


class Order(BaseModel):
    id: int
    items: list[str]
    paid: bool = False
