"""`python -m orders`: run, migrate, doctor, dead-letters, create-operator, seed-products."""

import json
from decimal import Decimal
from importlib.resources import files
from typing import Annotated, Any

import typer
from outboxed.errors import ConfigurationError, message_of
from outboxed.process import CommandLine, Service
from pydantic import TypeAdapter, ValidationError

from orders import handlers
from orders.addressing import Email
from orders.app import NAME, build
from orders.domain import EmailTakenError, Product, UserRole
from orders.handlers import RegisterUser
from orders.passwords import Argon2Hasher
from orders.schemas import Password
from orders.settings import Settings

command_line = CommandLine(NAME, Settings, build)


@command_line.typer.command()
def create_operator(
    email: Annotated[str, typer.Option(help="The operator's e-mail address.")],
    *,
    unless_there: Annotated[
        bool, typer.Option("--unless-there", help="Leave an account that is there as it is.")
    ] = False,
) -> None:
    """Make an operator's account; the password comes from ORDERS_OPERATOR_PASSWORD."""

    async def create(service: Service[Any]) -> str:
        password = Settings().operator_password.get_secret_value()
        _check("ORDERS_OPERATOR_PASSWORD", password, Password)
        _check("--email", email, Email)
        password_hash = await Argon2Hasher().hash(password)
        command = RegisterUser(email=email, name="Operator", password_hash=password_hash, role=UserRole.OPERATOR)
        try:
            async with service.transactions() as uow:
                await handlers.register_user(command, uow)
        except EmailTakenError:
            if unless_there:
                return f"{email} already has an account, which stays as it is"
            raise ConfigurationError(f"{email} already has an account") from None
        return f"operator {email} created"

    typer.echo(command_line.execute(create))


def _check(name: str, value: str, rules: Any) -> None:
    """Hold a value to the API's own limits."""
    try:
        TypeAdapter(rules).validate_python(value)
    except ValidationError as error:
        raise ConfigurationError(f"{name}: {message_of(error.errors()[0])}") from None


@command_line.typer.command()
def seed_products() -> None:
    """Fill the catalogue with the demonstration's products; those that exist are replaced."""
    rows = json.loads(files(NAME).joinpath("catalogue.json").read_text())
    products = [Product(row["sku"], row["name"], Decimal(row["unit_price"])) for row in rows]

    async def seed(service: Service[Any]) -> None:
        async with service.transactions() as uow:
            await uow.products.put(products)

    command_line.execute(seed)
    typer.echo(f"{len(products)} products in the catalogue")


if __name__ == "__main__":
    command_line()
