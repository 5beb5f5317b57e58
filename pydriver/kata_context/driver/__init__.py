"""The driver: routes to a database, the asyncio client, and values on their way there."""
