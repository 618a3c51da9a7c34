"""Models of the shop. As arguments of jobs they are validated when the job is enqueued and again when it runs."""

from pydantic import BaseModel, Field


class Item(BaseModel):
    """One article of an order."""

    sku: str
    name: str
    price: float = Field(ge=0)
    count: int = Field(default=1, ge=1)


class Order(BaseModel):
    """An order of a customer."""

    number: int
    email: str
    hour: int = Field(ge=0, le=23)
    items: list[Item]

    @property
    def total(self) -> float:
        """Return the price of the order, in euros."""
        return sum(item.price * item.count for item in self.items)


class Product(BaseModel):
    """A row of the supplier's catalogue."""

    sku: str
    name: str
    category: str
    price: float


class Label(BaseModel):
    """A shipping label of the carrier."""

    order: int
    tracking: str
