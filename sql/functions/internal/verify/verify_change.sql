-- Verification: a view change is folded again and compared with what it stores.

create or replace function kata_data.verify_change(
  context_id uuid, view kata_data.view, change kata_data.view_change, previous_digest bytea, messages bigint, raw_tokens bigint,
  view_tokens bigint, content_version bigint, last_at timestamptz
) returns table (version bigint, problem text, detail text)
language plpgsql stable
as $$
declare
  v_folded kata_data.view := kata_data.fold(context_id, view, change);
  v_summary kata_data.summary;
  v_summary_digest bytea;
  v_stubs bytea[];
  v_view_tokens bigint;
begin
  select y.* into v_summary from kata_data.summary y where y.segment_id = change.segment_id and y.version = change.version;
  if (v_summary.version is not null) <> change.is_summarized then
    return query select change.version, 'summary', 'A compaction and its summary are not both there.';
  elsif change.is_summarized
    and (v_summary.covered, v_summary.created_at) is distinct from (v_folded.covers[cardinality(v_folded.covers)], change.created_at) then
    return query select change.version, 'summary', format('Stored: for %s; recomputed: %s.', v_summary.covered, v_folded.covers[cardinality(v_folded.covers)]);
  end if;
  select e.remainder_digest into v_summary_digest
  from kata_data.erasure e
  where e.segment_id = v_summary.segment_id
    and e.version = v_summary.version;
  if not found then
    v_summary_digest := kata_data.summary_digest(v_summary);
  elsif v_summary.content <> '' or v_summary.metadata is not null then
    return query select change.version, 'erasure', 'The summary is not as the recorded erasure left it.';
  end if;
  if (select range_agg(int8range(s.version, s.version + 1)) from kata_data.stub s where s.change_id = change.change_id)
    is distinct from (case when change.kind = 'elision' then change.versions end)
    or exists (
      select from kata_data.stub s
      join kata_data.message m on m.segment_id = s.segment_id and m.version = s.version
      where s.change_id = change.change_id
        and (s.saved_tokens <> m.token_count - s.token_count or (s.content is not null and s.digest <> sha256(convert_to(s.content, 'UTF8'))))) then
    return query select change.version, 'stub', 'The stubs of an elision are not what they were.';
  end if;

  if (v_folded.visible, v_folded.deleted, v_folded.pinned_groups, v_folded.elisions, v_folded.replacements, v_folded.covers)
    is distinct from (change.visible, change.deleted, change.pinned_groups, change.elisions, change.replacements, change.covers) then
    return query select change.version, 'view', format('Stored: visible %s, deleted %s; folded again: %s, %s.', change.visible, change.deleted,
      v_folded.visible, v_folded.deleted);
  end if;
  v_view_tokens := kata_data.view_tokens_after(context_id, view, v_folded, view_tokens);
  if (change.message_count, change.raw_tokens, change.content_version, change.view_tokens)
    is distinct from (messages, raw_tokens, case when v_folded.deleted = view.deleted then content_version else change.version end, v_view_tokens) then
    return query select change.version, 'running total', format('Stored: %s messages, %s tokens, %s in view; recomputed: %s, %s, %s.',
      change.message_count, change.raw_tokens, change.view_tokens, messages, raw_tokens, v_view_tokens);
  end if;
  if change.created_at < last_at then
    return query select change.version, 'time', format('It was created at %s, before the entry before it.', change.created_at);
  end if;
  v_stubs := (select array_agg(s.digest order by s.version) from kata_data.stub s where s.change_id = change.change_id);
  if change.digest <> kata_data.change_digest(previous_digest, change.segment_id, change, v_summary_digest, v_stubs) then
    return query select change.version, 'digest', 'The view change, or the digest before it, is not what was made.';
  end if;
end
$$;
comment on function kata_data.verify_change(uuid, kata_data.view, kata_data.view_change, bytea, bigint, bigint, bigint, bigint, timestamptz) is
'Damage in a view change of a path, given the view before it, and what the log up to it comes to.';
