"""Where each function of schema kata goes. A function without a route is an error of the generator."""

from dataclasses import dataclass

from kata_context.errors import KataError
from kata_context.migrate.files import sql_root

# The first parameter of most functions, whose bucket decides.
IDS = ("context_id", "compaction_id")
# Two contexts, which must be on one shard: the positions of both.
PAIRS = {
    "common_ancestor": (1, 2),
    "diff": (1, 2),
    "diff_requests": (1, 4),
    "merge": (1, 2),
}
# All shards, and the clause that makes one answer of theirs; x is a row. Under a limit of 0 no shard would be
# asked, and none would refuse it.
ALL = {
    "archive_inactive": "order by x.context_id",
    "failing_compactions": "order by x.failures desc limit nullif(greatest($1, 0), 0)",
    "heads": "order by x.context_id limit nullif(greatest($2, 0), 0)",
    "pending_embeddings": "order by x.context_id desc, x.version desc limit nullif(greatest($2, 0), 0)",
    "pending_search": (
        "order by row_number() over (partition by x.tenant order by x.messages desc, x.context_id), "
        "x.messages desc, x.context_id limit nullif(greatest($1, 0), 0)"
    ),
}
# The same on every shard.
ANY = ("environment", "policy_presets", "tokenizers")
# Those whose statements are in sql/proxy/bodies and call all shards.
ON_ALL = (
    "embedding_models", "list_contexts", "prewarm", "purge_deleted", "register_tokenizer", "set_environment",
    "stats", "verify",
)  # fmt: skip
# Answered by the proxy itself, as a shard would.
LOCAL = ("version",)
# Each shard has its own part, and is called for it directly; and what belongs to one transaction, which each
# call on a shard is by itself: the batches of an import, the pages of an export.
REFUSED = ("build_embedding_index", "drop_embedding_index", "export_family", "import_family")
BODIES = "proxy/bodies"


@dataclass(frozen=True, slots=True)
class Route:
    """Where a function goes.

    Parameters
    ----------
    kind : id, pair, all, any, body, local or refused
    text : positions of ids, the clause that merges, or the statements
    """

    kind: str
    text: str = ""
    on_all: bool = False


def route_of(name: str, parameters: list[str]) -> Route:
    """Return the route of a function.

    Raises
    ------
    KataError : it has none
    """
    body = sql_root() / BODIES / f"{name}.sql"
    if body.is_file():
        return Route("body", body.read_text("utf-8"), name in ON_ALL)
    if name in PAIRS:
        return Route("pair", ", ".join(f"${position}" for position in PAIRS[name]))
    if name in ALL:
        return Route("all", ALL[name], on_all=True)
    for kind, names in (("any", ANY), ("local", LOCAL), ("refused", REFUSED)):
        if name in names:
            return Route(kind)
    if parameters and parameters[0] in IDS:
        return Route("id", "$1")
    raise KataError(
        f"kata.{name} has no route", hint="give it one in kata_context/proxy/routes.py or in sql/proxy/bodies"
    )
