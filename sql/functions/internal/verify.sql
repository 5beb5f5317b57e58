-- The parts of verify.

create or replace function kata_data.verify_lineage(context_id uuid)
returns table (version bigint, problem text, detail text)
language plpgsql stable rows 10
as $$
declare
  v_context kata_data.context;
  v_parent_version bigint;
  v_next bigint := 1;
  v_last_segment uuid;
  v_last_start bigint;
  v_last_end bigint;
  v_segment record;
begin
  select c.* into strict v_context from kata_data.context c where c.context_id = verify_lineage.context_id;
  for v_segment in
    select l.first_version, l.last_version, l.segment_id
    from kata_data.lineage l
    where l.context_id = verify_lineage.context_id
    order by l.first_version
  loop
    if v_segment.first_version > v_next then
      return query select v_next, 'lineage gap', format('Versions %s to %s belong to no segment.', v_next, v_segment.first_version - 1);
    elsif v_segment.first_version < v_next then
      return query select v_segment.first_version, 'lineage overlap', format('Segment %s starts at version %s, the one before ends at %s.',
        v_segment.segment_id, v_segment.first_version, v_next - 1);
    end if;
    if v_segment.last_version = 9223372036854775807 then
      v_next := v_segment.last_version;
    else
      v_next := v_segment.last_version + 1;
    end if;
    v_last_segment := v_segment.segment_id;
    v_last_start := v_segment.first_version;
    v_last_end := v_segment.last_version;
  end loop;
  if (v_last_segment, v_last_start, v_last_end)
    is distinct from (context_id, coalesce(v_context.fork_version, 0) + 1, 9223372036854775807) then
    return query select null::bigint, 'lineage gap', 'The last segment is not the context''s own and open-ended from the version after the fork on.';
  end if;

  if v_context.parent_id is not null then
    select h.version into v_parent_version
    from kata_data.head h
    join kata_data.context p on p.context_id = h.context_id
    where p.context_id = v_context.parent_id
      and p.tenant = v_context.tenant
      and p.family_id = v_context.family_id
      and p.depth = v_context.depth - 1
      and kata_data.bucket(p.context_id) = kata_data.bucket(v_context.context_id);
    if v_parent_version is null or v_parent_version < v_context.fork_version then
      return query select null::bigint, 'broken parent', format('Context %s, forked at version %s, is not its parent by tenant, family, depth, bucket and version.',
        v_context.parent_id, v_context.fork_version);
    elsif exists (
      select from kata_data.segments(v_context.parent_id, 1, v_context.fork_version) p
      full join (
        select s.segment_id, s.first_version, s.last_version
        from kata_data.segments(verify_lineage.context_id, 1, v_context.fork_version) s
      ) s using (segment_id, first_version, last_version)
      where p.segment_id is null or s.segment_id is null) then
      return query select null::bigint, 'broken parent', format('Its lineage up to version %s is not that of its parent %s.',
        v_context.fork_version, v_context.parent_id);
    end if;
  end if;
end
$$;
comment on function kata_data.verify_lineage(uuid) is 'Damage in the lineage of a context and in its tie to its parent.';

create or replace function kata_data.verify_log(context_id uuid)
returns table (version bigint, problem text, detail text)
language plpgsql stable rows 10
as $$
declare
  v_context kata_data.context;
  v_head kata_data.head;
  v_next bigint := 1;
  v_through bigint := 0;
  v_last_at timestamptz := '-infinity';
  v_preamble_end bigint;
  v_digest bytea;
  v_open_calls jsonb := '{}';
  v_open_groups jsonb := '{}';
  v_group bigint;
  v_group_tokens bigint;
  v_segment record;
  v_entry record;
  v_row kata_data.message;
  v_view kata_data.view_change := kata_data.no_view();
  v_messages bigint := 0;
  v_content_version bigint := 0;
  v_view_tokens bigint;
  v_erased int8multirange;
begin
  select c.* into strict v_context from kata_data.context c where c.context_id = verify_log.context_id;
  select h.* into v_head from kata_data.head h where h.context_id = verify_log.context_id;
  if not found then
    return query select null::bigint, 'head counters', 'The context has no head.';
    return;
  end if;
  v_digest := kata_data.first_digest(v_context.family_id);

  for v_segment in
    select s.segment_id, s.first_version, s.last_version
    from kata_data.segments(verify_log.context_id, 1, 9223372036854775807) s
    order by s.first_version
  loop
    v_erased := (
      select range_agg(int8range(e.version, e.version, '[]'))
      from kata_data.erasure e
      where e.segment_id = v_segment.segment_id
        and e.version between v_segment.first_version and v_segment.last_version);
    for v_entry in
      select m.version, m as message, null::kata_data.view_change as change
      from kata_data.message m
      where m.segment_id = v_segment.segment_id
        and m.version between v_segment.first_version and v_segment.last_version
      union all
      select w.version, null, w
      from kata_data.view_change w
      where w.segment_id = v_segment.segment_id
        and w.version between v_segment.first_version and v_segment.last_version
      order by version
    loop
      v_row := v_entry.message;
      if v_entry.version > v_head.version then
        return query select v_entry.version, 'row added', format('The head is at version %s.', v_head.version);
        continue;
      end if;
      if v_entry.version < v_next then
        return query select v_entry.version, 'row added', 'A message and a view change have this version.';
        continue;
      end if;
      if v_entry.version > v_next then
        return query select v_next, 'row gone', format('Versions %s to %s are missing.', v_next, v_entry.version - 1);
        -- What was there cannot be recomputed: go on from what the next row claims.
        v_through := coalesce(v_row.tokens_through - v_row.token_count, (v_entry.change).raw_tokens);
        v_messages := v_messages + v_entry.version - v_next;
      end if;
      v_next := v_entry.version + 1;
      if v_row.version is null then
        return query
        select p.version, p.problem, p.detail
        from kata_data.verify_change(verify_log.context_id, v_view, v_entry.change, v_digest, v_messages, v_through, v_content_version, v_last_at) p;
        v_view := v_entry.change;
        v_messages := v_view.message_count;
        v_content_version := v_view.content_version;
        v_digest := v_view.digest;
        v_last_at := v_view.created_at;
        continue;
      end if;
      v_messages := v_messages + 1;
      v_content_version := v_row.version;

      v_group := v_row.version;
      v_group_tokens := null;
      if v_row.role = 'tool' and v_open_calls ? v_row.tool_call_id then
        v_group := v_open_calls -> v_row.tool_call_id;
        v_group_tokens := (v_open_groups -> v_group::text)::bigint + v_row.token_count;
        v_open_calls := v_open_calls - v_row.tool_call_id;
        v_open_groups := kata_data.open_groups_after(v_open_groups, v_open_calls, v_group, v_group_tokens);
      elsif kata_data.has_elements(v_row.tool_calls) then
        v_open_calls := v_open_calls || (
          select jsonb_object_agg(c.call ->> 'id', v_row.version) from jsonb_array_elements(v_row.tool_calls) c(call));
        v_open_groups := v_open_groups || jsonb_build_object(v_row.version, v_row.token_count);
      end if;
      if (v_row.group_version, v_row.group_tokens, v_row.oldest_open_group)
        is distinct from (v_group, v_group_tokens, kata_data.oldest_group(v_open_groups)) then
        return query select v_row.version, 'group', format('Stored: group %s, its tokens %s, oldest open group %s; recomputed: %s, %s, %s.',
          v_row.group_version, coalesce(v_row.group_tokens::text, 'null'), coalesce(v_row.oldest_open_group::text, 'null'),
          v_group, coalesce(v_group_tokens::text, 'null'), coalesce(kata_data.oldest_group(v_open_groups)::text, 'null'));
      end if;

      v_through := v_through + v_row.token_count;
      if v_row.tokens_through <> v_through then
        return query select v_row.version, 'running total', format('Stored: %s; recomputed: %s.', v_row.tokens_through, v_through);
        v_through := v_row.tokens_through;
      end if;
      if v_row.created_at < v_last_at then
        return query select v_row.version, 'time', format('It was created at %s, before the entry before it.', v_row.created_at);
      end if;
      if v_preamble_end is null and v_row.role not in ('system', 'developer') then
        v_preamble_end := v_row.version - 1;
      end if;

      if v_row.version <@ v_erased then
        -- What it said cannot be digested any more: the next entry, or the head, holds its digest, and the record what is left of it.
        if v_row is distinct from kata_data.blanked(v_row) or not exists (
          select from kata_data.erasure e
          where e.segment_id = v_row.segment_id
            and e.version = v_row.version
            and e.remains = kata_data.remains_digest(v_row)) then
          return query select v_row.version, 'erasure', 'The entry is not as the recorded erasure left it.';
        end if;
      elsif v_row.digest <> kata_data.message_digest(
        v_digest, v_row.segment_id, v_row.version, v_row.created_at, v_row.role, v_row.content, v_row.token_count,
        v_row.token_source, v_row.group_version, v_row.pinned,
        kata_data.digest_rest(v_row.name, v_row.tool_call_id, v_row.tool_name, v_row.model, v_row.tool_calls,
          v_row.parts, v_row.provider, v_row.metadata)) then
        return query select v_row.version, 'digest', 'The entry, or the digest before it, is not what was appended.';
      end if;
      v_digest := v_row.digest;
      v_last_at := v_row.created_at;
    end loop;
  end loop;

  if v_next <= v_head.version then
    return query select v_next, 'row gone', format('Versions %s to %s are missing.', v_next, v_head.version);
  end if;
  -- From the messages themselves, not from the totals of the changes before.
  v_view_tokens := kata_data.shown_tokens(context_id, kata_data.visible_at(v_view, v_head.version), v_view.elisions)
    + kata_data.summary_tokens(context_id, v_view.replacements);
  if (v_head.message_count, v_head.raw_tokens, v_head.view_tokens, v_head.content_version, v_head.preamble_end, v_head.view_version)
    is distinct from (v_messages, v_through, v_view_tokens, v_content_version, v_preamble_end, nullif(v_view.version, 0))
    or v_head.last_at < v_last_at
    or (v_head.tenant, v_head.tokenizer, v_head.closed, v_head.is_strict, v_head.notifies) is distinct from (
      v_context.tenant, v_context.tokenizer, v_context.archived_at is not null or v_context.deleted_at is not null,
      coalesce((v_context.policy -> 'strict')::boolean, true), coalesce((v_context.policy -> 'notify')::boolean, false)) then
    return query select null::bigint, 'head counters', format(
      'Stored: %s messages, %s tokens, %s in view, content version %s, preamble to %s, view version %s; recomputed: %s, %s, %s, %s, %s, %s.',
      v_head.message_count, v_head.raw_tokens, v_head.view_tokens, v_head.content_version, coalesce(v_head.preamble_end::text, 'null'),
      coalesce(v_head.view_version::text, 'null'),
      v_messages, v_through, v_view_tokens, v_content_version, coalesce(v_preamble_end::text, 'null'), coalesce(nullif(v_view.version, 0)::text, 'null'));
  end if;
  if (v_head.open_calls, v_head.open_groups, v_head.oldest_open_group)
    is distinct from (v_open_calls, v_open_groups, kata_data.oldest_group(v_open_groups)) then
    return query select null::bigint, 'open calls', format('Stored: %s; recomputed: %s.', v_head.open_calls, v_open_calls);
  end if;
  if v_head.last_digest <> v_digest then
    return query select null::bigint, 'digest', 'The head does not end the chain of digests.';
  end if;
end
$$;
comment on function kata_data.verify_log(uuid) is 'Damage in the log of a context and in its head.';

create or replace function kata_data.verify_change(
  context_id uuid, view kata_data.view_change, change kata_data.view_change, previous_digest bytea, messages bigint, raw_tokens bigint,
  content_version bigint, last_at timestamptz
) returns table (version bigint, problem text, detail text)
language plpgsql stable
as $$
declare
  v_folded kata_data.view_change := kata_data.fold(context_id, view, change);
  v_summary kata_data.summary;
  v_summary_digest bytea;
  v_stubs bytea[];
  v_view_tokens bigint;
begin
  select y.* into v_summary from kata_data.summary y where y.segment_id = change.segment_id and y.version = change.version;
  if (v_summary.version is not null) <> change.is_summarised then
    return query select change.version, 'summary', 'A compaction and its summary are not both there.';
  elsif change.is_summarised
    and (v_summary.covered, v_summary.created_at) is distinct from (v_folded.covers[cardinality(v_folded.covers)], change.created_at) then
    return query select change.version, 'summary', format('Stored: for %s; recomputed: %s.', v_summary.covered, v_folded.covers[cardinality(v_folded.covers)]);
  end if;
  select e.remains into v_summary_digest
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
  v_view_tokens := kata_data.view_tokens_after(context_id, view, view.view_tokens + raw_tokens - view.raw_tokens, v_folded);
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
comment on function kata_data.verify_change(uuid, kata_data.view_change, kata_data.view_change, bytea, bigint, bigint, bigint, timestamptz) is
'Damage in a view change of a path, given the view before it, and what the log up to it comes to.';

create or replace function kata_data.verify_compactions(context_id uuid)
returns table (version bigint, problem text, detail text)
language plpgsql stable rows 10
as $$
begin
  return query
  select v.version, 'compaction', 'No compaction that was committed tells of it.'
  from kata_data.view_change v
  where v.segment_id = verify_compactions.context_id
    and v.kind = 'compaction'
    and not exists (
      select from kata_data.compaction c
      where c.context_id = verify_compactions.context_id
        and c.status = 'committed'
        and c.summary_version = v.version
        and c.covered = v.versions)
  order by v.version;
  return query
  select c.summary_version, 'compaction', format('Compaction %s was committed, and there is no view change of it.', c.compaction_id)
  from kata_data.compaction c
  where c.context_id = verify_compactions.context_id
    and c.status = 'committed'
    and not exists (
      select from kata_data.view_change v
      where v.segment_id = verify_compactions.context_id
        and v.version = c.summary_version
        and v.kind = case c.strategy when 'elide' then 'elision' else 'compaction' end)
  order by c.summary_version;
end
$$;
comment on function kata_data.verify_compactions(uuid) is 'Where the compactions of a context and the view changes that it wrote do not agree; of a purged one those that are kept.';

create or replace function kata_data.verify_due(context_id uuid)
returns table (version bigint, problem text, detail text)
language plpgsql stable rows 1
as $$
declare
  v_head kata_data.head;
  v_due record;
begin
  select h.* into v_head from kata_data.head h where h.context_id = verify_due.context_id;
  if not found then
    return;
  end if;
  v_due := kata_data.due_state(v_head, kata_data.resolved_policy(context_id));
  -- When it is due changes with the time; that it is, and from where on, does not.
  if (v_head.due_tokens, v_head.due_messages, v_head.due_at is null) is distinct from (v_due.due_tokens, v_due.due_messages, v_due.due_at is null) then
    return query select null::bigint, 'due', format('Stored: from %s tokens, %s messages, at %s; recomputed: %s, %s, %s.',
      coalesce(v_head.due_tokens::text, 'no'), coalesce(v_head.due_messages::text, 'no'), coalesce(v_head.due_at::text, 'no time'),
      coalesce(v_due.due_tokens::text, 'no'), coalesce(v_due.due_messages::text, 'no'), coalesce(v_due.due_at::text, 'no time'));
  end if;
end
$$;
comment on function kata_data.verify_due(uuid) is 'Where the head of a context does not say rightly when compaction is due.';

create or replace function kata_data.verify_marks(context_id uuid)
returns table (version bigint, problem text, detail text)
language plpgsql stable rows 10
as $$
declare
  v_newest bigint := (select h.version from kata_data.head h where h.context_id = verify_marks.context_id);
begin
  return query
  select k.version, 'dangling checkpoint', format('Checkpoint "%s" names a version beyond %s.', k.name, v_newest)
  from kata_data.checkpoint k
  where k.context_id = verify_marks.context_id
    and k.version > v_newest;
  return query
  select o.version, 'dangling origin', format('Version %s of segment %s, which it is a copy of, is not there.', c.version, c.segment_id)
  from kata_data.merge_origin o
  cross join lateral (values
    (o.source_segment_id, o.source_version),
    (o.origin_segment_id, o.origin_version)
  ) c(segment_id, version)
  where o.segment_id = verify_marks.context_id
    and not exists (
      select from kata_data.message m
      where m.segment_id = c.segment_id
        and m.version = c.version)
    -- What was purged left its copies.
    and not exists (
      select from kata_data.context p
      where p.context_id = c.segment_id
        and p.purged_at is not null)
  order by o.version;
end
$$;
comment on function kata_data.verify_marks(uuid) is 'Damage in what points at versions of a context: checkpoints, and the origins of merged messages.';

create or replace function kata_data.verify_purged(context_id uuid)
returns table (version bigint, problem text, detail text)
language plpgsql stable rows 10
as $$
begin
  return query
  select min(m.version), 'left behind', 'The context is purged, and nobody reads what it wrote from here on.'
  from kata_data.message m
  where m.segment_id = verify_purged.context_id
    and m.version > kata_data.segment_reach(verify_purged.context_id)
  having count(*) > 0;
  return query
  select min(v.version), 'left behind', 'The context is purged, and nobody reads its view changes from here on.'
  from kata_data.view_change v
  where v.segment_id = verify_purged.context_id
    and v.version > kata_data.segment_reach(verify_purged.context_id)
  having count(*) > 0;
  return query
  select k.version, 'left behind', format('The context is purged, and nobody sees its checkpoint "%s".', k.name)
  from kata_data.checkpoint k
  where k.context_id = verify_purged.context_id
    and k.version > kata_data.segment_reach(verify_purged.context_id);
  if exists (
    select from kata_data.context c
    left join kata_data.head h on h.context_id = c.context_id
    where c.context_id = verify_purged.context_id
      and (c.name, c.metadata, c.policy, h.tenant, h.tokenizer, h.closed, h.is_strict, h.notifies, h.open_calls, h.open_groups)
        is distinct from (null::text, '{}'::jsonb, '{}'::jsonb, c.tenant, c.tokenizer, true, true, false, '{}'::jsonb, '{}'::jsonb)) then
    return query select null::bigint, 'left behind', 'The context is purged, and its rows in context and head are not blank.';
  end if;
end
$$;
comment on function kata_data.verify_purged(uuid) is 'What the purge of a context has left behind. What it kept is verified as part of the forks that read it.';

create or replace function kata_data.verify_orphans()
returns table (segment_id uuid, version bigint, problem text, detail text)
language plpgsql stable rows 10
as $$
declare
  v_setting text := coalesce(current_setting('kata.tenant', true), '');
begin
  -- Contexts of all tenants must be seen to say that one is missing; verify lets only those come here who may.
  perform set_config('kata.tenant', '*', true);
  -- Segments are found by skipping through the index, one look-up each. Whose segment it is reads all of it, so nobody else need be asked.
  for segment_id in
    with recursive segment as (
      (select m.segment_id from kata_data.message m order by m.segment_id limit 1)
      union all
      select (select m.segment_id from kata_data.message m where m.segment_id > s.segment_id order by m.segment_id limit 1)
      from segment s
      where s.segment_id is not null
    )
    select s.segment_id from segment s where s.segment_id is not null
  loop
    return query
    select m.segment_id, m.version, 'orphan row', 'No context''s lineage reaches this message.'
    from (
      select m.segment_id, min(m.version) as version
      from kata_data.message m
      where m.segment_id = verify_orphans.segment_id
        and not exists (
          select from kata_data.lineage l
          where l.context_id = m.segment_id
            and l.segment_id = m.segment_id
            and m.version between l.first_version and l.last_version)
      group by m.segment_id
    ) m;
  end loop;
  return query
  select e.segment_id, e.version, 'orphan row', 'An erasure belongs to no message.'
  from kata_data.erasure e
  where not exists (
      select from kata_data.message m
      where m.segment_id = e.segment_id
        and m.version = e.version)
    and not exists (
      select from kata_data.summary y
      where y.segment_id = e.segment_id
        and y.version = e.version);
  return query
  select h.context_id, null::bigint, 'orphan row', 'A head belongs to no context.'
  from kata_data.head h
  where not exists (select from kata_data.context c where c.context_id = h.context_id);
  return query
  select l.context_id, null::bigint, 'orphan row', 'A lineage belongs to no context.'
  from kata_data.lineage l
  where not exists (select from kata_data.context c where c.context_id = l.context_id);
  return query
  select c.segment_id, c.version, 'orphan row', 'No context''s lineage reaches this view change.'
  from kata_data.view_change c
  where not exists (
    select from kata_data.lineage l
    where l.context_id = c.segment_id
      and l.segment_id = c.segment_id
      and c.version between l.first_version and l.last_version);
  return query
  select y.segment_id, y.version, 'orphan row', 'A summary belongs to no compaction.'
  from kata_data.summary y
  where not exists (
    select from kata_data.view_change c
    where c.segment_id = y.segment_id
      and c.version = y.version);
  return query
  select s.segment_id, s.version, 'orphan row', 'A stub belongs to no message, or to no elision.'
  from kata_data.stub s
  where not exists (
      select from kata_data.message m
      where m.segment_id = s.segment_id
        and m.version = s.version
        and m.group_version = s.group_version)
    or not exists (select from kata_data.view_change c where c.change_id = s.change_id and c.kind = 'elision');
  return query
  select t.segment_id, t.version, 'orphan row', format('A token count in %s belongs to no message.', t.tokenizer)
  from kata_data.token_count t
  where not exists (
    select from kata_data.message m
    where m.segment_id = t.segment_id
      and m.version = t.version);
  return query
  select o.segment_id, o.version, 'orphan row', 'An origin belongs to no message.'
  from kata_data.merge_origin o
  where not exists (
      select from kata_data.message m
      where m.segment_id = o.segment_id
        and m.version = o.version)
    -- A purge leaves what leads to copies.
    and not exists (
      select from kata_data.context c
      where c.context_id = o.segment_id
        and c.purged_at is not null);
  return query
  select k.context_id, k.version, 'orphan row', format('Checkpoint "%s" belongs to no context.', k.name)
  from kata_data.checkpoint k
  where not exists (select from kata_data.context c where c.context_id = k.context_id);
  perform set_config('kata.tenant', v_setting, true);
end
$$;
comment on function kata_data.verify_orphans() is 'Rows that no context owns, the first of each segment.';
