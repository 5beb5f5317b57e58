"""Many tenants in one back end.

    python examples/tenants.py

The back end's role is a member of kata_service, so it may act for any tenant, one per call. The database
checks every call: a context of another tenant is not found.
"""

from kata_context import Kata
from kata_context.database_errors import ContextNotFoundError

CUSTOMERS = ("acme", "globex")


def main() -> None:
    """Give each customer a conversation of the same name, and show that they do not meet."""
    chats = {}
    for customer in CUSTOMERS:
        with Kata(tenant=customer) as kata:
            chat = kata.context(kata.get_or_create_context("support").context_id)
            chat.append_message("user", f"This is {customer}.", idempotency_key="hello")
            chats[customer] = chat.id

    for customer in CUSTOMERS:
        with Kata(tenant=customer) as kata:
            names = [(row.name, row.tenant) for row in kata.list_contexts()]
            print(customer, "sees", names)
            for other in CUSTOMERS:
                try:
                    rows = kata.window(chats[other], 1000)
                    print(customer, "reads the conversation of", other, [row.content for row in rows])
                except ContextNotFoundError:
                    print(customer, "does not find the conversation of", other)


if __name__ == "__main__":
    main()
