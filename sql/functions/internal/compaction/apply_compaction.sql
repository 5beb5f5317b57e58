-- The commit itself, once access is checked and head and compaction are locked.

create or replace function kata_data.apply_compaction(
  head kata_data.head, compaction kata_data.compaction, summary text, token_count integer, metadata jsonb
) returns kata_data.compaction
language plpgsql volatile
as $$
declare
  v_compaction kata_data.compaction := compaction;
  v_view kata_data.view;
  v_digest record;
  v_summary kata_data.summary;
  v_stubs kata_data.stub[];
begin
  if v_compaction.strategy = 'digest' and summary is null then
    v_digest := kata_data.digest_text(v_compaction);
    return kata_data.apply_compaction(
      head, v_compaction, v_digest.content, null, coalesce(metadata, '{}') || jsonb_build_object('digest', v_digest.facts));
  end if;
  perform kata_data.check_summary(v_compaction, summary, token_count, metadata);
  v_view := kata_data.view_at(compaction.context_id, head.version);
  perform kata_data.check_stale(head, v_view, v_compaction);
  case
    when v_compaction.strategy = 'drop' then
      v_compaction.result_tokens := 0;
      perform kata_data.check_gain(v_compaction);
      v_compaction.summary_version := kata_data.add_change(head, kata_data.new_change('compaction', v_compaction.covered));
    when v_compaction.strategy = 'elide' then
      v_stubs := kata_data.stubs_for(v_compaction.context_id, v_view, head, v_compaction.covered, kata_data.stub_tokens()::integer);
      v_compaction.result_tokens := v_compaction.source_tokens - kata_data.stub_gain(v_compaction.context_id, v_view, v_stubs);
      perform kata_data.check_gain(v_compaction);
      v_compaction.summary_version := kata_data.add_change(head, kata_data.elision_of(v_stubs), stubs => v_stubs);
    else
      v_summary.role := v_compaction.policy ->> 'summary_role';
      v_summary.content := summary;
      v_summary.token_count := coalesce(token_count, kata_data.message_tokens(summary, null, null, head.tokenizer));
      v_summary.token_source := case when token_count is null then 'estimate' else 'given' end;
      v_summary.metadata := metadata;
      v_compaction.result_tokens := v_summary.token_count;
      perform kata_data.check_gain(v_compaction);
      v_compaction.summary_version := kata_data.add_change(head, kata_data.new_change('compaction', v_compaction.covered), v_summary);
  end case;
  v_compaction.status := 'committed';
  perform kata_data.finish_compaction(v_compaction, 'committed', null);
  return v_compaction;
end
$$;
comment on function kata_data.apply_compaction(kata_data.head, kata_data.compaction, text, integer, jsonb) is
'Commits a running compaction whose head and row the caller has locked, and returns it with its result; makes the digest where none is
passed. KC011, KC012, KC017.';
