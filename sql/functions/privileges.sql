-- Who may call what: one list. kata_reader ⊂ kata_writer ⊂ kata_admin; kata_service is a writer for any tenant.
-- New functions are closed to everybody by the default privileges of kata_owner.

grant execute on function
  kata.ancestry,
  kata.artifacts,
  kata.checkpoints,
  kata.common_ancestor,
  kata.compaction_status,
  kata.compactions,
  kata.current_tenant,
  kata.diff,
  kata.diff_versions,
  kata.environment,
  kata.erasures,
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
  kata.purges,
  kata.resolve_context,
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
  kata.compaction_artifacts,
  kata.compaction_source,
  kata.create_context,
  kata.delete_context,
  kata.delete_messages,
  kata.drop_checkpoint,
  kata.elide,
  kata.fork,
  kata.get_or_create_context,
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
  kata.register_tokenizer,
  kata.set_environment
to kata_admin;

-- What is for ever is not for every writer.
grant execute on function
  kata.erase_message,
  kata.purge_context,
  kata.purge_deleted
to kata_admin, kata_service;

-- What kata.erase_message and kata.purge_context, which run as kata_eraser, call in turn.
grant execute on function
  kata_data.ancestors,
  kata_data.artifact_lock,
  kata_data.blanked,
  kata_data.calling_role,
  kata_data.check_access,
  kata_data.check_isolation,
  kata_data.check_state,
  kata_data.clock,
  kata_data.clock_setting,
  kata_data.copy_segments,
  kata_data.current_tenant,
  kata_data.cut_segment,
  kata_data.digest_fields,
  kata_data.digest_rest,
  kata_data.end_compactions,
  kata_data.erase_entry,
  kata_data.erase_summary,
  kata_data.family_lock,
  kata_data.forget_artifacts,
  kata_data.has_elements,
  kata_data.hold_artifacts,
  kata_data.hold_families,
  kata_data.lock_context,
  kata_data.message_digest,
  kata_data.own_tenant,
  kata_data.plan_purge,
  kata_data.readers,
  kata_data.refold_artifacts,
  kata_data.remains_digest,
  kata_data.segment_reach,
  kata_data.segments,
  kata_data.summaries_of,
  kata_data.summary_digest,
  kata_data.trim_artifacts,
  kata_data.update_artifacts
to kata_eraser;
