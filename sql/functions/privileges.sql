-- Who may call what: one list. kata_reader ⊂ kata_writer ⊂ kata_admin; kata_service is a writer for any tenant.
-- New functions are closed to everybody by the default privileges of kata_owner.

grant execute on function
  kata.current_tenant, kata.environment, kata.find_context, kata.get_context, kata.get_message, kata.list_contexts, kata.messages,
  kata.prompt, kata.resolve_context, kata.stats, kata.tokenizers, kata.usage, kata.verify, kata.version, kata."window"
to kata_reader;

grant execute on function
  kata.append, kata.append_message, kata.archive_context, kata.archive_inactive, kata.close_calls, kata.create_context,
  kata.delete_context, kata.put_token_counts, kata.restore_context, kata.unarchive_context, kata.update_context
to kata_writer;

grant execute on function
  kata.assign_tenant, kata.register_tokenizer, kata.set_environment
to kata_admin;
