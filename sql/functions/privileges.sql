-- Who may call what: one list. kata_reader ⊂ kata_writer ⊂ kata_admin; kata_service is a writer for any tenant.
-- New functions are closed to everybody by the default privileges of kata_owner.

grant execute on function
  kata.ancestry, kata.checkpoints, kata.common_ancestor, kata.diff, kata.diff_versions, kata.find_context,
  kata.forks, kata.get_context, kata.get_message, kata.history, kata.list_contexts, kata.messages, kata.prompt,
  kata.resolve_version, kata.state_at, kata.stats, kata.tokenizers, kata.tree, kata.usage, kata.verify, kata.version,
  kata."window"
to kata_reader;

grant execute on function
  kata.append, kata.append_message, kata.archive_context, kata.archive_inactive, kata.checkpoint, kata.close_calls,
  kata.create_context, kata.delete_context, kata.delete_messages, kata.drop_checkpoint, kata.elide, kata.fork, kata.merge,
  kata.pin, kata.put_token_counts, kata.restore_context, kata.unarchive_context, kata.undo, kata.unpin, kata.update_context
to kata_writer;

grant execute on function
  kata.assign_tenant, kata.register_tokenizer
to kata_admin;
