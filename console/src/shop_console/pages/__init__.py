"""The pages, a module each."""

from shop_console.pages import access, breaking, files, flow, letters, mailbox, orders

ROUTERS = (access.router, files.router, orders.router, letters.router, flow.router, mailbox.router, breaking.router)

__all__ = ["ROUTERS"]
