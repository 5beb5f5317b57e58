-- Verification: the log is replayed: versions, totals, groups, digests, and the head that they lead to.

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
  v_last_message bigint := 0;
  v_preamble_end bigint;
  v_digest bytea;
  v_open_calls jsonb := '{}';
  v_open_groups jsonb := '{}';
  v_group bigint;
  v_group_tokens bigint;
  v_segment record;
  v_entry record;
  v_row kata_data.message;
  v_view kata_data.view := kata_data.empty_view();
  v_change kata_data.view_change;
  v_ahead bigint := 0;
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
        from kata_data.verify_change(
          verify_log.context_id, v_view, v_entry.change, v_digest, v_messages, v_through, v_through + v_ahead, v_content_version, v_last_at) p;
        v_change := v_entry.change;
        v_view := kata_data.view_after(v_change);
        v_ahead := v_change.view_tokens - v_change.raw_tokens;
        v_messages := v_change.message_count;
        v_content_version := v_change.content_version;
        v_digest := v_change.digest;
        v_last_at := v_change.created_at;
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
        v_preamble_end := v_last_message;
      end if;
      v_last_message := v_row.version;

      if v_row.version <@ v_erased then
        -- What it said cannot be digested any more: the next entry, or the head, holds its digest, and the record what is left of it.
        if v_row is distinct from kata_data.redacted(v_row) or not exists (
          select from kata_data.erasure e
          where e.segment_id = v_row.segment_id
            and e.version = v_row.version
            and e.remainder_digest = kata_data.remainder_digest(v_row)) then
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
