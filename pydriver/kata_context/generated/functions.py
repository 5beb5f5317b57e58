"""The functions and their parameters, for `kata call`.

Written by tools/generate; `make generate` writes it anew.
"""

from typing import NamedTuple


class Parameter(NamedTuple):
    """A parameter: its type is one of SQL, "context" for the id of one, or "version" for a version of it."""

    type: str
    has_default: bool = False
    is_nullable: bool = False


class Function(NamedTuple):
    """A function."""

    summary: str
    parameters: dict[str, Parameter]


FUNCTIONS = {
    "archive_context": Function(
        "Archives a context: it can be read and forked, not changed.",
        {
            "context_id": Parameter("context"),
        },
    ),
    "archive_inactive": Function(
        "Archives forks without recent activity; roots are left alone.",
        {
            "idle": Parameter("interval"),
            "dry_run": Parameter("boolean", has_default=True),
        },
    ),
    "create_context": Function(
        "Creates an empty context in the caller's tenant.",
        {
            "name": Parameter("text", has_default=True),
            "policy": Parameter("jsonb", has_default=True),
            "metadata": Parameter("jsonb", has_default=True),
            "tokenizer": Parameter("text", has_default=True),
            "preset": Parameter("text", has_default=True),
            "idempotency_key": Parameter("text", has_default=True),
        },
    ),
    "delete_context": Function(
        "Deletes a context softly: it can be restored, its name is free, its forks are not affected.",
        {
            "context_id": Parameter("context"),
        },
    ),
    "find_context": Function(
        "Returns the id of the live context of a name in the caller's tenant; null when there is none.",
        {
            "name": Parameter("text"),
        },
    ),
    "get_context": Function(
        "Returns one context, deleted or not.",
        {
            "context_id": Parameter("context"),
        },
    ),
    "get_or_create_context": Function(
        "Returns the live context of a name in the caller's tenant, and creates it where there is none.",
        {
            "name": Parameter("text"),
            "policy": Parameter("jsonb", has_default=True),
            "metadata": Parameter("jsonb", has_default=True),
            "tokenizer": Parameter("text", has_default=True),
            "preset": Parameter("text", has_default=True),
            "idempotency_key": Parameter("text", has_default=True),
        },
    ),
    "list_contexts": Function(
        "Lists the caller's contexts, newest first, in pages.",
        {
            "after": Parameter("context", has_default=True),
            "max_rows": Parameter("integer", has_default=True),
            "include_deleted": Parameter("boolean", has_default=True),
            "metadata": Parameter("jsonb", has_default=True),
            "name_prefix": Parameter("text", has_default=True),
            "order_by": Parameter("text", has_default=True),
            "roots_only": Parameter("boolean", has_default=True),
        },
    ),
    "resolve_context": Function(
        "Finds the context with an id, a name, or a unique beginning of an id.",
        {
            "selector": Parameter("text"),
            "include_deleted": Parameter("boolean", has_default=True),
        },
    ),
    "restore_context": Function(
        "Restores a deleted context.",
        {
            "context_id": Parameter("context"),
        },
    ),
    "unarchive_context": Function(
        "Opens an archived context for changes again.",
        {
            "context_id": Parameter("context"),
        },
    ),
    "update_context": Function(
        "Changes the name or the metadata of a context.",
        {
            "context_id": Parameter("context"),
            "name": Parameter("text", has_default=True),
            "metadata": Parameter("jsonb", has_default=True),
            "merge": Parameter("boolean", has_default=True),
        },
    ),
    "append": Function(
        "Appends a batch of messages: all of them or none.",
        {
            "context_id": Parameter("context"),
            "messages": Parameter("jsonb"),
            "expected_version": Parameter("version", has_default=True),
            "idempotency_key": Parameter("text", has_default=True),
            "on_duplicate": Parameter("text", has_default=True),
            "request_id": Parameter("bigint", has_default=True),
            "usage": Parameter("jsonb", has_default=True),
        },
    ),
    "append_message": Function(
        "Appends one message and returns its version.",
        {
            "context_id": Parameter("context"),
            "role": Parameter("text"),
            "content": Parameter("text", is_nullable=True),
            "token_count": Parameter("integer", has_default=True),
            "tool_call_id": Parameter("text", has_default=True),
            "tool_name": Parameter("text", has_default=True),
            "tool_calls": Parameter("jsonb", has_default=True),
            "model": Parameter("text", has_default=True),
            "metadata": Parameter("jsonb", has_default=True),
            "pinned": Parameter("boolean", has_default=True),
            "expected_version": Parameter("version", has_default=True),
            "idempotency_key": Parameter("text", has_default=True),
            "name": Parameter("text", has_default=True),
            "parts": Parameter("jsonb", has_default=True),
            "provider": Parameter("jsonb", has_default=True),
            "token_source": Parameter("text", has_default=True),
            "external_id": Parameter("text", has_default=True),
            "occurred_at": Parameter("timestamp with time zone", has_default=True),
            "request_id": Parameter("bigint", has_default=True),
            "usage": Parameter("jsonb", has_default=True),
        },
    ),
    "append_record": Function(
        "Appends a record: an entry of the log that no window, prompt or count shows.",
        {
            "context_id": Parameter("context"),
            "kind": Parameter("text"),
            "data": Parameter("jsonb"),
            "external_id": Parameter("text", has_default=True),
            "idempotency_key": Parameter("text", has_default=True),
            "on_duplicate": Parameter("text", has_default=True),
        },
    ),
    "close_calls": Function(
        "Answers open tool calls with one tool message each.",
        {
            "context_id": Parameter("context"),
            "call_ids": Parameter("text[]", has_default=True),
            "reason": Parameter("text", has_default=True),
        },
    ),
    "find_message": Function(
        "Returns the version of the message or record that has an external id; null when there is none.",
        {
            "context_id": Parameter("context"),
            "external_id": Parameter("text"),
            "at": Parameter("version", has_default=True),
        },
    ),
    "get_message": Function(
        "Returns one message, by its version, whatever compaction has done since.",
        {
            "context_id": Parameter("context"),
            "version": Parameter("version"),
        },
    ),
    "key_result": Function(
        "Returns what an idempotency key of a context has done, without doing it.",
        {
            "context_id": Parameter("context"),
            "idempotency_key": Parameter("text"),
        },
    ),
    "messages": Function(
        "Lists the messages of a context, in pages.",
        {
            "context_id": Parameter("context"),
            "after": Parameter("bigint", has_default=True),
            "max_rows": Parameter("integer", has_default=True),
            "descending": Parameter("boolean", has_default=True),
            "visibility": Parameter("text", has_default=True),
            "at": Parameter("version", has_default=True),
        },
    ),
    "records": Function(
        "Lists the records of a context, oldest first, inherited ones included.",
        {
            "context_id": Parameter("context"),
            "kind": Parameter("text", has_default=True),
            "after": Parameter("bigint", has_default=True),
            "max_rows": Parameter("integer", has_default=True),
            "at": Parameter("version", has_default=True),
        },
    ),
    "usage": Function(
        "Returns the size of a context in messages and tokens.",
        {
            "context_id": Parameter("context"),
            "at": Parameter("version", has_default=True),
        },
    ),
    "explain_window": Function(
        "Lists the messages of a path, newest first, each with why a window has it or leaves it out.",
        {
            "context_id": Parameter("context"),
            "budget": Parameter("integer", has_default=True),
            "at": Parameter("version", has_default=True),
            "stable_step": Parameter("integer", has_default=True),
            "tokenizer": Parameter("text", has_default=True),
            "recall": Parameter("bigint[]", has_default=True),
            "recall_budget": Parameter("integer", has_default=True),
            "reserve": Parameter("integer", has_default=True),
            "format": Parameter("text", has_default=True),
            "max_rows": Parameter("integer", has_default=True),
            "after": Parameter("bigint", has_default=True),
        },
    ),
    "prompt": Function(
        "The window as one JSON document in the chat form of a provider, ready to send.",
        {
            "context_id": Parameter("context"),
            "budget": Parameter("integer", has_default=True),
            "format": Parameter("text", has_default=True),
            "at": Parameter("version", has_default=True),
            "stable_step": Parameter("integer", has_default=True),
            "tokenizer": Parameter("text", has_default=True),
            "recall": Parameter("bigint[]", has_default=True),
            "recall_budget": Parameter("integer", has_default=True),
            "reserve": Parameter("integer", has_default=True),
            "system": Parameter("text", has_default=True),
            "thinking": Parameter("text", has_default=True),
            "renderer": Parameter("integer", has_default=True),
        },
    ),
    "window": Function(
        "The messages that a model should see within a token budget, in reading order.",
        {
            "context_id": Parameter("context"),
            "budget": Parameter("integer", has_default=True),
            "at": Parameter("version", has_default=True),
            "stable_step": Parameter("integer", has_default=True),
            "tokenizer": Parameter("text", has_default=True),
            "recall": Parameter("bigint[]", has_default=True),
            "recall_budget": Parameter("integer", has_default=True),
            "reserve": Parameter("integer", has_default=True),
            "format": Parameter("text", has_default=True),
        },
    ),
    "complete_request": Function(
        "Records the usage of a request, or the error that came instead of an answer.",
        {
            "context_id": Parameter("context"),
            "request_id": Parameter("bigint"),
            "usage": Parameter("jsonb", has_default=True),
            "error": Parameter("text", has_default=True),
        },
    ),
    "diff_requests": Function(
        "Compares two recorded requests and names the cause of each difference.",
        {
            "context_id": Parameter("context"),
            "a": Parameter("bigint"),
            "b": Parameter("bigint"),
            "context_b": Parameter("context", has_default=True),
        },
    ),
    "replay": Function(
        "Makes the body of a recorded request again, byte for byte.",
        {
            "context_id": Parameter("context"),
            "request_id": Parameter("bigint"),
        },
    ),
    "request": Function(
        "Builds the body of a call to a model, and records it for kata.replay.",
        {
            "context_id": Parameter("context"),
            "budget": Parameter("integer", has_default=True),
            "format": Parameter("text", has_default=True),
            "model": Parameter("text", has_default=True),
            "tools": Parameter("json", has_default=True),
            "options": Parameter("json", has_default=True),
            "cache": Parameter("text", has_default=True),
            "stable_step": Parameter("integer", has_default=True),
            "tokenizer": Parameter("text", has_default=True),
            "at": Parameter("version", has_default=True),
            "recall": Parameter("bigint[]", has_default=True),
            "recall_budget": Parameter("integer", has_default=True),
            "reserve": Parameter("integer", has_default=True),
            "system": Parameter("text", has_default=True),
            "thinking": Parameter("text", has_default=True),
        },
    ),
    "request_rows": Function(
        "Lists the messages and summaries that a recorded request showed, in reading order.",
        {
            "context_id": Parameter("context"),
            "request_id": Parameter("bigint"),
        },
    ),
    "requests": Function(
        "Lists the requests of a context, newest first: what was asked, what came, what it cost.",
        {
            "context_id": Parameter("context"),
            "before": Parameter("bigint", has_default=True),
            "max_rows": Parameter("integer", has_default=True),
            "showing": Parameter("bigint", has_default=True),
        },
    ),
    "ancestry": Function(
        "The ancestors of a context, from its parent to the root; deleted and purged ones too.",
        {
            "context_id": Parameter("context"),
        },
    ),
    "common_ancestor": Function(
        "The last entry that two contexts share.",
        {
            "context_a": Parameter("context"),
            "context_b": Parameter("context"),
        },
    ),
    "diff": Function(
        "The entries of two contexts after their common ancestor.",
        {
            "context_a": Parameter("context"),
            "context_b": Parameter("context"),
        },
    ),
    "fork": Function(
        "Forks a context: creates one that shares its history up to a version.",
        {
            "context_id": Parameter("context"),
            "at": Parameter("version", has_default=True),
            "name": Parameter("text", has_default=True),
            "policy": Parameter("jsonb", has_default=True),
            "metadata": Parameter("jsonb", has_default=True),
            "idempotency_key": Parameter("text", has_default=True),
        },
    ),
    "forks": Function(
        "The direct forks of a context, deleted ones too.",
        {
            "context_id": Parameter("context"),
        },
    ),
    "merge": Function(
        "Appends messages of one context to another, as one batch.",
        {
            "target": Parameter("context"),
            "source": Parameter("context"),
            "versions": Parameter("int8multirange", has_default=True),
            "idempotency_key": Parameter("text", has_default=True),
        },
    ),
    "tree": Function(
        "The whole fork family of a context.",
        {
            "context_id": Parameter("context"),
        },
    ),
    "acts": Function(
        "Lists the acts of a context, the changes that take no version of its log, oldest first.",
        {
            "context_id": Parameter("context"),
            "after": Parameter("bigint", has_default=True),
            "max_rows": Parameter("integer", has_default=True),
        },
    ),
    "checkpoint": Function(
        "Names a version of a context, for use in selectors.",
        {
            "context_id": Parameter("context"),
            "name": Parameter("text"),
            "at": Parameter("version", has_default=True),
            "note": Parameter("text", has_default=True),
        },
    ),
    "checkpoints": Function(
        "The checkpoints of a context, its own and inherited ones.",
        {
            "context_id": Parameter("context"),
        },
    ),
    "diff_versions": Function(
        "The changes from the view of a context at one version to the view at another.",
        {
            "context_id": Parameter("context"),
            "from_version": Parameter("version"),
            "to_version": Parameter("version"),
        },
    ),
    "drop_checkpoint": Function(
        "Drops a checkpoint of a context.",
        {
            "context_id": Parameter("context"),
            "name": Parameter("text"),
        },
    ),
    "entry_digests": Function(
        "Lists what the digests of a context are made of, oldest entry first, inherited entries included.",
        {
            "context_id": Parameter("context"),
            "after": Parameter("bigint", has_default=True),
            "max_rows": Parameter("integer", has_default=True),
            "at": Parameter("version", has_default=True),
        },
    ),
    "history": Function(
        "A page of the entries of a context, newest first, inherited ones included.",
        {
            "context_id": Parameter("context"),
            "before": Parameter("bigint", has_default=True),
            "max_rows": Parameter("integer", has_default=True),
        },
    ),
    "resolve_version": Function(
        "The version that a selector resolves to.",
        {
            "context_id": Parameter("context"),
            "selector": Parameter("text"),
        },
    ),
    "state_at": Function(
        "Lists the messages of a context as of a version.",
        {
            "context_id": Parameter("context"),
            "at": Parameter("version", has_default=True),
            "visibility": Parameter("text", has_default=True),
            "after": Parameter("bigint", has_default=True),
            "max_rows": Parameter("integer", has_default=True),
        },
    ),
    "amend": Function(
        "Shows other words for a message, in its place.",
        {
            "context_id": Parameter("context"),
            "version": Parameter("version"),
            "message": Parameter("jsonb"),
            "expected_version": Parameter("version", has_default=True),
            "idempotency_key": Parameter("text", has_default=True),
        },
    ),
    "delete_messages": Function(
        "Deletes messages from the view of a context.",
        {
            "context_id": Parameter("context"),
            "first_version": Parameter("version"),
            "last_version": Parameter("version", has_default=True),
        },
    ),
    "elide": Function(
        "Shortens the tool results of a range in the view.",
        {
            "context_id": Parameter("context"),
            "first_version": Parameter("version"),
            "last_version": Parameter("version", has_default=True),
            "keep_tokens": Parameter("integer", has_default=True),
        },
    ),
    "get_tools": Function(
        "Returns the list of tools in force in a context.",
        {
            "context_id": Parameter("context"),
            "at": Parameter("version", has_default=True),
        },
    ),
    "pin": Function(
        "Pins a message with its tool group.",
        {
            "context_id": Parameter("context"),
            "version": Parameter("version"),
        },
    ),
    "rewind": Function(
        "Goes back to the state of an earlier version.",
        {
            "context_id": Parameter("context"),
            "to_version": Parameter("version"),
            "expected_version": Parameter("version", has_default=True),
            "idempotency_key": Parameter("text", has_default=True),
        },
    ),
    "set_tools": Function(
        "Sets the list of tools that a model may call in a context.",
        {
            "context_id": Parameter("context"),
            "tools": Parameter("json", is_nullable=True),
            "token_count": Parameter("integer", has_default=True),
            "expected_version": Parameter("version", has_default=True),
        },
    ),
    "undo": Function(
        "Undoes the view change at a version.",
        {
            "context_id": Parameter("context"),
            "version": Parameter("version"),
        },
    ),
    "unpin": Function(
        "Unpins a message and its tool group.",
        {
            "context_id": Parameter("context"),
            "version": Parameter("version"),
        },
    ),
    "abort_compaction": Function(
        "Gives up a compaction that was begun: nothing is covered.",
        {
            "compaction_id": Parameter("uuid"),
            "reason": Parameter("text", has_default=True),
        },
    ),
    "begin_compaction": Function(
        "Begins a compaction: takes the lease on a context and fixes which messages are covered.",
        {
            "context_id": Parameter("context"),
            "strategy": Parameter("text", has_default=True),
            "claimed_by": Parameter("text", has_default=True),
            "lease_seconds": Parameter("integer", has_default=True),
            "force": Parameter("boolean", has_default=True),
        },
    ),
    "claim_due_compaction": Function(
        "Begins the compaction of a context that is due, by its policy; each worker gets another context.",
        {
            "claimed_by": Parameter("text"),
            "lease_seconds": Parameter("integer", has_default=True),
            "can_summarize": Parameter("boolean", has_default=True),
        },
    ),
    "commit_compaction": Function(
        "Commits a compaction: in one step the messages that it covers leave the view and the "
        "summary enters.",
        {
            "compaction_id": Parameter("uuid"),
            "summary": Parameter("text", is_nullable=True),
            "token_count": Parameter("integer", has_default=True),
            "metadata": Parameter("jsonb", has_default=True),
        },
    ),
    "compact": Function(
        "Compacts a context without a model.",
        {
            "context_id": Parameter("context"),
            "strategy": Parameter("text", has_default=True),
            "force": Parameter("boolean", has_default=True),
        },
    ),
    "compaction_artifacts": Function(
        "The artifacts that a summary should name: those of the context as of the last covered version.",
        {
            "compaction_id": Parameter("uuid"),
            "max_rows": Parameter("integer", has_default=True),
        },
    ),
    "compaction_source": Function(
        "The messages that a compaction covers, as the view showed them when the compaction began.",
        {
            "compaction_id": Parameter("uuid"),
        },
    ),
    "compaction_status": Function(
        "Reports whether a context is due for compaction, and how near it is.",
        {
            "context_id": Parameter("context"),
        },
    ),
    "compactions": Function(
        "The compactions that were begun in a context, newest first; an ancestor lists its own.",
        {
            "context_id": Parameter("context"),
        },
    ),
    "failing_compactions": Function(
        "Lists the contexts whose last compaction failed or gained nothing, those with most failures first.",
        {
            "max_rows": Parameter("integer", has_default=True),
        },
    ),
    "get_policy": Function(
        "The compaction policy of a context, every field resolved.",
        {
            "context_id": Parameter("context"),
        },
    ),
    "policy_presets": Function(
        "The policy presets that create_context knows.",
        {},
    ),
    "renew_compaction": Function(
        "Extends the lease of a running compaction, even one that ran out, if no other worker took over.",
        {
            "compaction_id": Parameter("uuid"),
            "lease_seconds": Parameter("integer", has_default=True),
        },
    ),
    "set_policy": Function(
        "Changes the compaction policy of a context, and resets its failure counter.",
        {
            "context_id": Parameter("context"),
            "policy": Parameter("jsonb"),
        },
    ),
    "add_artifact": Function(
        "Adds an artifact to the index of a context, or detail to one.",
        {
            "context_id": Parameter("context"),
            "kind": Parameter("text"),
            "ref": Parameter("text"),
            "detail": Parameter("jsonb", has_default=True),
            "version": Parameter("version", has_default=True),
        },
    ),
    "artifacts": Function(
        "The artifacts that the messages of a context name, compacted or not.",
        {
            "context_id": Parameter("context"),
            "kind": Parameter("text", has_default=True),
            "at": Parameter("version", has_default=True),
        },
    ),
    "put_token_counts": Function(
        "Stores exact token counts of messages in a tokenizer other than the context's.",
        {
            "context_id": Parameter("context"),
            "tokenizer": Parameter("text"),
            "versions": Parameter("bigint[]"),
            "counts": Parameter("integer[]"),
        },
    ),
    "register_tokenizer": Function(
        "Registers a tokenizer, or corrects one.",
        {
            "name": Parameter("text"),
            "bytes_per_token": Parameter("numeric"),
            "margin": Parameter("numeric", has_default=True),
        },
    ),
    "tokenizers": Function(
        "The registered tokenizers.",
        {},
    ),
    "erase_message": Function(
        "Redacts a message permanently, for its context, its forks and the copies that merges have made.",
        {
            "context_id": Parameter("context"),
            "version": Parameter("version"),
            "reason": Parameter("text"),
        },
    ),
    "erasures": Function(
        "The erased messages of a context.",
        {
            "context_id": Parameter("context"),
        },
    ),
    "purge_context": Function(
        "Permanently removes what a deleted context wrote, except messages that forks still need.",
        {
            "context_id": Parameter("context"),
            "dry_run": Parameter("boolean", has_default=True),
        },
    ),
    "purge_deleted": Function(
        "Purges the contexts that were deleted a while ago, as purge_context does.",
        {
            "older_than": Parameter("interval"),
            "dry_run": Parameter("boolean", has_default=True),
        },
    ),
    "purges": Function(
        "The receipts of a purged context.",
        {
            "context_id": Parameter("context"),
        },
    ),
    "export_family": Function(
        "Lists the lines of the archive of a fork family, from which kata.import_family makes it again.",
        {
            "context_id": Parameter("context"),
            "after": Parameter("text", has_default=True),
            "max_rows": Parameter("integer", has_default=True),
        },
    ),
    "import_family": Function(
        "Imports a fork family from its archive, with the ids, versions, times, salts and digests of it.",
        {
            "lines": Parameter("text[]"),
        },
    ),
    "build_embedding_index": Function(
        "Builds an HNSW index on the embeddings of a model, or measures the one that is there.",
        {
            "model": Parameter("text"),
            "m": Parameter("integer", has_default=True),
            "ef_construction": Parameter("integer", has_default=True),
            "dry_run": Parameter("boolean", has_default=True),
            "method": Parameter("text", has_default=True),
        },
    ),
    "drop_embedding_index": Function(
        "Drops the index on the embeddings of a model; the embeddings stay.",
        {
            "model": Parameter("text"),
        },
    ),
    "embedding_models": Function(
        "Lists the embedding models that the tenant has embeddings of.",
        {},
    ),
    "index_search": Function(
        "Indexes the messages of a context, inherited ones included, for kata.search and kata.recall.",
        {
            "context_id": Parameter("context"),
            "max_messages": Parameter("integer", has_default=True),
        },
    ),
    "pending_embeddings": Function(
        "Lists the texts of messages that have no embedding of a model yet, for kata.put_embeddings.",
        {
            "model": Parameter("text"),
            "max_rows": Parameter("integer", has_default=True),
            "after_context": Parameter("context", has_default=True),
            "after_version": Parameter("version", has_default=True),
        },
    ),
    "pending_search": Function(
        "Lists the contexts with 64 or more versions that are not indexed yet, the most first.",
        {
            "max_rows": Parameter("integer", has_default=True),
        },
    ),
    "prewarm": Function(
        "Reads the rows into memory that the first window and the first search of a context need.",
        {
            "context_id": Parameter("context", has_default=True),
        },
    ),
    "put_embeddings": Function(
        "Stores the embeddings of messages, for kata.recall.",
        {
            "context_id": Parameter("context"),
            "model": Parameter("text"),
            "versions": Parameter("bigint[]"),
            "embeddings": Parameter("real[]"),
            "digests": Parameter("text[]", has_default=True),
        },
    ),
    "recall": Function(
        "Finds the messages of a context that help to answer a query, best first, their neighbors included.",
        {
            "context_id": Parameter("context"),
            "query": Parameter("text", has_default=True),
            "embedding": Parameter("real[]", has_default=True),
            "model": Parameter("text", has_default=True),
            "max_rows": Parameter("integer", has_default=True),
            "at": Parameter("version", has_default=True),
            "max_tokens": Parameter("integer", has_default=True),
        },
    ),
    "search": Function(
        "Finds the messages of a context that hold words of a query, best first: where something was said.",
        {
            "context_id": Parameter("context"),
            "query": Parameter("text"),
            "max_rows": Parameter("integer", has_default=True),
            "at": Parameter("version", has_default=True),
        },
    ),
    "assign_tenant": Function(
        "Assigns a tenant to a database role, in place of the one named like the role.",
        {
            "role_name": Parameter("text"),
            "tenant": Parameter("text"),
        },
    ),
    "check_heads": Function(
        "Compares rows of kata.heads that were kept elsewhere with the database as it is now.",
        {
            "heads": Parameter("jsonb"),
        },
    ),
    "current_tenant": Function(
        "The tenant that the caller acts for.",
        {},
    ),
    "environment": Function(
        "The environment label of this database, for example production; null if it has none.",
        {},
    ),
    "heads": Function(
        "Lists the digest of every context of the caller's tenant, to be kept elsewhere as evidence.",
        {
            "after": Parameter("context", has_default=True),
            "max_rows": Parameter("integer", has_default=True),
        },
    ),
    "set_environment": Function(
        "Labels this database with its environment, for example production.",
        {
            "label": Parameter("text"),
            "current_label": Parameter("text", has_default=True),
        },
    ),
    "stats": Function(
        "Counts the contexts and entries of the caller's tenant.",
        {},
    ),
    "verify": Function(
        "Verifies the integrity of the log: one row per problem found, none if it is sound.",
        {
            "context_id": Parameter("context", has_default=True),
            "after": Parameter("context", has_default=True),
            "max_contexts": Parameter("integer", has_default=True),
        },
    ),
    "version": Function(
        "The version of Kata Context in this database.",
        {},
    ),
}
