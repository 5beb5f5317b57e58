"""Many tenants in one back end.

    python examples/tenants.py

The back end's role is a member of kata_service, so it may act for any tenant, one per call: a view of a
tenant uses the connections of all. The database checks every call: a context of another tenant is not found.
"""

from kata_context import Kata
from kata_context.database_errors import ContextNotFoundError

CUSTOMERS = ("acme", "globex")


def main() -> None:
    """Give each customer a conversation of the same name, and show that they do not meet."""
    with Kata() as kata:
        views = {customer: kata.as_tenant(customer) for customer in CUSTOMERS}
        chats = {}
        for customer, view in views.items():
            chats[customer] = view.get_or_create("support")
            chats[customer].append_message("user", f"This is {customer}.", idempotency_key="hello")

        for customer, view in views.items():
            print(customer, "sees", [(row.name, row.tenant) for row in view.list_contexts()])
            for other in CUSTOMERS:
                try:
                    rows = view.window(chats[other], 1000)
                    print(customer, "reads the conversation of", other, [row.content for row in rows])
                except ContextNotFoundError:
                    print(customer, "does not find the conversation of", other)


if __name__ == "__main__":
    main()
