-- Copies the messages of one branch to another through the one write path. Each copy records its origin, so that no message is copied
-- twice and an erasure finds the copies.
--
-- Locks heads by id ascending: the target for change, the source shared, so that appends to it do not wait; the source is read up to the
-- version that it had. Then locks the messages and their amendments FOR KEY SHARE, so that an erasure misses no copy.
-- plans: writer

create or replace function kata.merge(target uuid, source uuid, versions int8multirange default null, idempotency_key text default null)
returns table (version bigint, token_count integer, created_at timestamptz, is_new boolean)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_target kata_data.head;
  v_source kata_data.head;
  v_first_version bigint;
  v_last_version bigint;
  v_drafts kata_data.message[];
  v_origins kata_data.merge_origin[];
  v_known jsonb;
begin
  if source < target then
    v_source := kata_data.share_context(source);
    v_target := kata_data.lock_context(target);
  else
    v_target := kata_data.lock_context(target);
    v_source := kata_data.share_context(source);
  end if;
  v_drafts := kata_data.merge_drafts(v_target, v_source, versions);
  if idempotency_key is not null then
    v_known := kata_data.use_key(
      'context:' || target, idempotency_key, 'merge', jsonb_build_array(source, versions),
      jsonb_build_object(
        'versions', kata_data.versions_after(v_target.version, cardinality(v_drafts)),
        'is_new', array_fill(true, array[cardinality(v_drafts)])));
  end if;
  if v_known is not null then
    perform kata_data.check_known(v_target, kata_data.known_versions(v_known), idempotency_key);
    v_first_version := (v_known #> '{versions,0}')::bigint;
    v_last_version := (v_known #> '{versions,-1}')::bigint;
  else
    perform kata_data.check_merge(v_target, v_source, v_drafts);
    if v_drafts = '{}' then
      return;
    end if;
    v_drafts := kata_data.with_free_ids(v_target, v_drafts);
    v_origins := kata_data.origins_of(target, v_target.version, v_source, v_drafts);
    v_first_version := (
      select min(b.version)
      from kata_data.append_batch(
        target,
        (select jsonb_agg(kata_data.draft_of(d) order by d.version) from unnest(v_drafts) d),
        null, null, array(select kata_data.origin_mark(o) from unnest(v_origins) o order by o.version)) b);
    v_last_version := v_first_version + cardinality(v_drafts) - 1;
    insert into kata_data.merge_origin (
      segment_id, version, source_segment_id, source_version, origin_segment_id, origin_version, amendment_segment_id, amendment_version)
    select o.segment_id, o.version, o.source_segment_id, o.source_version, o.origin_segment_id, o.origin_version, o.amendment_segment_id,
      o.amendment_version
    from unnest(v_origins) o;
  end if;
  return query
  select m.version, m.token_count, m.created_at, true
  from kata_data.message m
  where m.segment_id = target
    and m.version between v_first_version and v_last_version
  order by m.version;
end
$$;
comment on function kata.merge(uuid, uuid, int8multirange, text) is
'Appends messages of one context to another, as one batch.

These are the messages of the source after the common ancestor, in whole groups, in order. Deleted and rewound messages and summaries are left out,
and so are messages that the target already has, from its history or an earlier merge; a copy that it has rewound is copied again. Results of calls that were made before the common
ancestor are left out, too: the target has answered these calls itself.

target: the context to append to. source: the context to copy from; it may be archived.
versions: the messages of the source to copy, at most 10,000 with their groups, which come as a whole; a range that is open at an end begins at the first version, or
  ends at the newest; null for all after the common ancestor.
idempotency_key: 1 to 255 characters; the same request again within seven days returns the first result.

A copy has the words in force. It keeps its external id where no entry of the target''s line has it, else it has none.
Token counts are kept if both contexts count in one tokenizer; else stored counts are used, or new estimates.

Returns one row per message, as append; none if there is nothing to merge.
Errors: KC001, KC002, KC004 over 10,000 messages, KC005 the target, or a group of the choice, has open calls, KC006, KC017, KC019, KC021 what the key has
done is rewound.
Locks: the head of the target and that of the source (FOR KEY SHARE), by id ascending, then the copied messages and their amendments (FOR KEY SHARE).
Cost: O(messages after the common ancestor × fork depth).';

create or replace function kata_data.merge_drafts(target kata_data.head, source kata_data.head, versions int8multirange)
returns kata_data.message[]
language plpgsql volatile
as $$
declare
  v_first bigint;
  v_versions int8multirange;
  v_rewound int8multirange;
  v_amendments bigint[];
  v_amendment_id bigint;
  v_message kata_data.message;
  v_drafts kata_data.message[] := '{}'::kata_data.message[];
begin
  perform kata_data.check_versions(source, versions);
  v_first := (kata_data.shared_history(target.context_id, target.version, source.context_id, source.version)).version + 1;
  v_rewound := (kata_data.view_of(target.context_id, target.version, target.view_version)).rewound;
  v_versions := kata_data.unmerged(
    target.context_id, target.version, v_rewound, source.context_id, kata_data.versions_to_merge(source, v_first, versions), v_first);
  v_amendments := kata_data.merged_amendments(source, v_versions);
  -- Against an erasure at this moment: it waits and finds the copy, or what is copied is blank already. The words are read by a later
  -- statement, which sees the erasure that this one has waited for.
  perform kata_data.share_words(source.context_id, v_versions, v_amendments);
  for v_message in
    select w.*
    from kata_data.path_messages(source.context_id, v_versions) m
    left join lateral kata_data.amendment_of(m.segment_id, m.group_version, m.version, v_amendments) a on true
    cross join lateral kata_data.amended(m, a) w
    order by m.version
  loop
    if target.tokenizer <> source.tokenizer then
      v_amendment_id := (
        select a.change_id from kata_data.amendment_of(v_message.segment_id, v_message.group_version, v_message.version, v_amendments) a);
      select t.token_count into v_message.token_count
      from kata_data.token_count t
      where t.segment_id = v_message.segment_id
        and t.version = v_message.version
        and t.tokenizer = target.tokenizer
        and v_amendment_id is null;
      v_message.token_source := case when found then 'exact' end;
    elsif v_message.token_source = 'estimate' then
      -- It is made anew, and is the same.
      v_message.token_count := null;
      v_message.token_source := null;
    end if;
    v_drafts := v_drafts || v_message;
  end loop;
  return v_drafts;
end
$$;
comment on function kata_data.merge_drafts(kata_data.head, kata_data.head, int8multirange) is
'The messages that a merge appends, in the words in force, with token counts in the tokenizer of the target. KC002.';

create or replace function kata_data.merged_amendments(source kata_data.head, versions int8multirange) returns bigint[]
language plpgsql stable
as $$
begin
  return kata_data.amendments_at(
    source.context_id, kata_data.view_of(source.context_id, source.version, source.view_version), versions, source.version);
end
$$;
comment on function kata_data.merged_amendments(kata_data.head, int8multirange) is
'The amendments in force of messages that a merge copies, visible or not.';

create or replace function kata_data.with_free_ids(target kata_data.head, drafts kata_data.message[]) returns kata_data.message[]
language plpgsql stable
as $$
declare
  v_drafts kata_data.message[] := drafts;
  v_place bigint;
begin
  for v_place in
    select d.ordinality
    from unnest(drafts) with ordinality d
    join kata_data.entries_with_ids(target.context_id, array(select d.external_id from unnest(drafts) d where d.external_id is not null), target.version,
      target.view_version) i
      on i.external_id = d.external_id
  loop
    v_drafts[v_place].external_id := null;
  end loop;
  return v_drafts;
end
$$;
comment on function kata_data.with_free_ids(kata_data.head, kata_data.message[]) is
'The messages that a merge appends, without the external ids that entries of the target have.';

create or replace function kata_data.origins_of(target_id uuid, target_version bigint, source kata_data.head, drafts kata_data.message[])
returns kata_data.merge_origin[]
language plpgsql stable
as $$
declare
  v_amendments bigint[];
begin
  v_amendments := kata_data.merged_amendments(source, (select range_agg(int8range(d.version, d.version, '[]')) from unnest(drafts) d));
  return array(
    select row(
      target_id, target_version + d.ordinality, d.segment_id, d.version, coalesce(o.origin_segment_id, d.segment_id),
      coalesce(o.origin_version, d.version), c.segment_id, c.version)::kata_data.merge_origin
    from unnest(drafts) with ordinality d
    left join lateral (
      select o.origin_segment_id, o.origin_version
      from kata_data.merge_origin o
      where o.segment_id = d.segment_id
        and o.version = d.version
      offset 0
    ) o on true
    left join lateral kata_data.amendment_of(d.segment_id, d.group_version, d.version, v_amendments) a on true
    left join kata_data.view_change c on c.change_id = a.change_id
    order by d.ordinality);
end
$$;
comment on function kata_data.origins_of(uuid, bigint, kata_data.head, kata_data.message[]) is
'The origins of the copies that a merge appends after a version, in order.';

create or replace function kata_data.check_versions(source kata_data.head, versions int8multirange) returns void
language plpgsql stable
as $$
begin
  -- A range that is open at an end begins at the first version, or ends at the newest.
  if exists (
    select
    from unnest(versions) r(range)
    where coalesce(lower(r.range), 1) not between 1 and source.version
      or coalesce(upper(r.range) - 1, source.version) not between 1 and source.version) then
    raise exception using
      errcode = 'KC002',
      message = format('versions %s not found', versions),
      detail = format('Context %s has versions 1 to %s.', source.context_id, source.version),
      hint = 'Pass some of these, or null for all after the common ancestor.';
  end if;
end
$$;
comment on function kata_data.check_versions(kata_data.head, int8multirange) is
'Refuses versions that the source of a merge does not have. KC002.';

create or replace function kata_data.versions_to_merge(source kata_data.head, first_version bigint, versions int8multirange) returns int8multirange
language plpgsql stable
as $$
declare
  v_view kata_data.view;
  v_versions int8multirange;
begin
  v_view := kata_data.view_of(source.context_id, source.version, source.view_version);
  v_versions := int8multirange(int8range(first_version, source.version + 1)) - kata_data.hidden(v_view);
  if versions is null then
    return v_versions;
  end if;
  v_versions := v_versions * versions;
  return v_versions + kata_data.group_members(
    source.context_id,
    array(
      select distinct m.group_version
      from kata_data.path_messages(source.context_id, v_versions) m
      where m.group_version >= first_version
        and (m.tool_calls is not null or m.tool_call_id is not null)),
    source.version, v_view.rewound);
end
$$;
comment on function kata_data.versions_to_merge(kata_data.head, bigint, int8multirange) is
'The versions of the source that a merge considers: from the first one on, neither deleted nor rewound.

versions: of these the chosen ones, widened to whole groups; null for all.';

create or replace function kata_data.unmerged(
  target_id uuid, target_version bigint, rewound int8multirange, source_id uuid, versions int8multirange, first_version bigint
) returns int8multirange
language plpgsql stable
as $$
begin
  return (
    with candidate as materialized (
      select m.segment_id, m.version, m.group_version
      from kata_data.path_messages(source_id, versions) m
      where m.group_version >= first_version
    ),
    present as (
      select c.version
      from candidate c
      left join lateral (
        select o.origin_segment_id, o.origin_version
        from kata_data.merge_origin o
        where o.segment_id = c.segment_id
          and o.version = c.version
        offset 0
      ) o on true
      cross join lateral (
        select coalesce(o.origin_segment_id, c.segment_id) as segment_id, coalesce(o.origin_version, c.version) as version
      ) f
      where c.version = c.group_version
        and exists (
          select
          from (
            select f.segment_id, f.version
            union all
            select o.segment_id, o.version
            from kata_data.merge_origin o
            where o.origin_segment_id = f.segment_id
              and o.origin_version = f.version
          ) k
          join kata_data.segments(target_id, 1, target_version) s
            on s.segment_id = k.segment_id and k.version between s.first_version and s.last_version
          where not rewound @> k.version)
    )
    select coalesce(range_agg(int8range(c.version, c.version + 1)), '{}')
    from candidate c
    where c.group_version not in (select p.version from present p));
end
$$;
comment on function kata_data.unmerged(uuid, bigint, int8multirange, uuid, int8multirange, bigint) is
'The versions of the source, among some, whose groups the target does not have.

A target has a group if the first message of the group, or another copy of the same original, is on its line. rewound: of its view. first_version: groups before
it are left out.
Cost: O(messages × fork depth).';

create or replace function kata_data.check_merge(target kata_data.head, source kata_data.head, drafts kata_data.message[]) returns void
language plpgsql stable
as $$
declare
  v_open bigint;
begin
  v_open := (
    select min(d.group_version)
    from unnest(drafts) d
    where source.open_groups ? d.group_version::text);
  if target.open_calls <> '{}' then
    raise exception using
      errcode = 'KC005',
      message = format('context %s has open calls', target.context_id),
      detail = format('Calls without a result: %s.', (
        select string_agg(format('"%s"', left(o.id, 100)), ', ' order by o.id collate "C") from jsonb_object_keys(target.open_calls) o(id))),
      hint = 'Append their results first, or close them with kata.close_calls.';
  end if;
  if v_open is not null then
    raise exception using
      errcode = 'KC005',
      message = format('version %s of context %s has open calls', v_open, source.context_id),
      detail = 'A group is merged with all its results or not at all.',
      hint = 'Close its calls with kata.close_calls, or choose other versions.';
  end if;
  if cardinality(drafts) > 10000 then
    raise exception using
      errcode = 'KC004',
      message = 'a merge appends at most 10000 messages',
      detail = format('There are %s.', cardinality(drafts)),
      hint = 'Merge a part at a time, with versions.';
  end if;
end
$$;
comment on function kata_data.check_merge(kata_data.head, kata_data.head, kata_data.message[]) is
'Refuses a merge into open calls, of open calls, or of more than a batch. KC004, KC005.';
