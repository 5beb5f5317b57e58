-- Who may call what: one list. kata_reader ⊂ kata_writer ⊂ kata_admin; kata_service is a writer for any tenant.
-- New functions are closed to everybody by the default privileges of kata_owner.

grant execute on function
  kata.ancestry,
  kata.artifacts,
  kata.checkpoints,
  kata.common_ancestor,
  kata.compaction_status,
  kata.compactions,
  kata.diff,
  kata.diff_versions,
  kata.find_context,
  kata.forks,
  kata.get_context,
  kata.get_message,
  kata.get_policy,
  kata.history,
  kata.list_contexts,
  kata.messages,
  kata.policy_presets,
  kata.prompt,
  kata.resolve_version,
  kata.state_at,
  kata.stats,
  kata.tokenizers,
  kata.tree,
  kata.usage,
  kata.verify,
  kata.version,
  kata."window"
to kata_reader;

grant execute on function
  kata.abort_compaction,
  kata.add_artifact,
  kata.append,
  kata.append_message,
  kata.archive_context,
  kata.archive_inactive,
  kata.begin_compaction,
  kata.checkpoint,
  kata.claim_due_compaction,
  kata.close_calls,
  kata.commit_compaction,
  kata.compact,
  kata.compaction_source,
  kata.create_context,
  kata.delete_context,
  kata.delete_messages,
  kata.drop_checkpoint,
  kata.elide,
  kata.fork,
  kata.merge,
  kata.pin,
  kata.put_token_counts,
  kata.renew_compaction,
  kata.restore_context,
  kata.set_policy,
  kata.unarchive_context,
  kata.undo,
  kata.unpin,
  kata.update_context
to kata_writer;

grant execute on function
  kata.assign_tenant,
  kata.register_tokenizer
to kata_admin;
