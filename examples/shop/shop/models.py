"""What the shop deals with. Jobs take these as arguments: they are checked when enqueued and again when run."""

from pydantic import BaseModel, Field


class Item(BaseModel):
    """A line of an order."""

    sku: str
    name: str
    price: float = Field(ge=0)
    count: int = Field(default=1, ge=1)


class Order(BaseModel):
    """What a customer bought."""

    number: int
    email: str
    hour: int = Field(ge=0, le=23)
    items: list[Item]

    @property
    def total(self) -> float:
        """In euros."""
        return sum(item.price * item.count for item in self.items)


class Product(BaseModel):
    """A row of the supplier's catalogue."""

    sku: str
    name: str
    category: str
    price: float


class Label(BaseModel):
    """What the carrier answers."""

    order: int
    tracking: str
