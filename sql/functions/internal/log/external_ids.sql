-- External ids: the ids that callers give to messages and records. An id names one entry of a line, not of a segment: a fork and its parent
-- may both give it, each after the fork. So no unique index can state it; it is looked up under the lock of the head, segment by segment,
-- and the rows of ancestors up to a fork are fixed.

create or replace function kata_data.check_on_duplicate(on_duplicate text) returns void
language plpgsql immutable
as $$
begin
  if coalesce(on_duplicate not in ('error', 'skip'), true) then
    raise exception using
      errcode = 'KC017',
      message = format('on_duplicate "%s" is unknown', coalesce(left(on_duplicate, 100), 'null')),
      detail = 'It decides what becomes of an entry whose external id is taken.',
      hint = 'Pass error or skip.';
  end if;
end
$$;
comment on function kata_data.check_on_duplicate(text) is 'Refuses an on_duplicate that is neither error nor skip. KC017.';

create or replace function kata_data.entries_with_ids(context_id uuid, external_ids text[], at bigint, view_version bigint)
returns table (external_id text, version bigint)
language plpgsql stable rows 1
as $$
declare
  v_rewound int8multirange;
begin
  for external_id, version in
  select e.external_id, i.version
  from unnest(external_ids) e(external_id)
  cross join kata_data.segments(entries_with_ids.context_id, 1, at) s
  cross join lateral (
    select i.version
    from kata_data.entry_id i
    where i.segment_id = s.segment_id
      and i.external_id = e.external_id
      and i.version between s.first_version and s.last_version
    offset 0
  ) i
  loop
    -- Looked up where an id is found, and once.
    v_rewound := coalesce(v_rewound, (kata_data.view_of(context_id, at, view_version)).rewound);
    if not v_rewound @> version then
      return next;
    end if;
  end loop;
end
$$;
comment on function kata_data.entries_with_ids(uuid, text[], bigint, bigint) is
'The entries of a line, as of a version, that have one of some external ids.

view_version: as view_of takes it.
Cost: one look-up per id and segment.';

create or replace function kata_data.batch_ids(head kata_data.head, messages jsonb) returns kata_data.batch_ids
language plpgsql stable
as $$
declare
  v_all kata_data.batch_ids;
begin
  with draft as materialized (
    select d.ordinality, d.draft ->> 'external_id' as external_id
    from jsonb_array_elements(messages) with ordinality d(draft, ordinality)
  ),
  taken as materialized (
    select i.external_id, i.version
    from kata_data.entries_with_ids(head.context_id, array(select distinct d.external_id from draft d where d.external_id is not null), head.version,
      head.view_version) i
  ),
  first as (
    select d.ordinality, d.external_id, t.version,
      case when d.external_id is null then d.ordinality else min(d.ordinality) over (partition by d.external_id) end as first_place
    from draft d
    left join taken t on t.external_id = d.external_id
  ),
  counted as (
    select f.ordinality, f.external_id, f.version, f.first_place,
      count(*) filter (where f.version is null and f.first_place = f.ordinality) over (order by f.ordinality) as new_messages
    from first f
  )
  select array_agg(c.version order by c.ordinality), array_agg(c.is_new order by c.ordinality), array_agg(c.external_id order by c.ordinality),
    coalesce(array_agg(c.ordinality order by c.ordinality) filter (where c.is_new), '{}')
  into v_all.versions, v_all.is_new, v_all.external_ids, v_all.places
  from (
    select c.ordinality, c.external_id, coalesce(c.version, head.version + min(c.new_messages) over (partition by c.first_place)) as version,
      c.version is null and c.first_place = c.ordinality as is_new
    from counted c
  ) c;
  return v_all;
end
$$;
comment on function kata_data.batch_ids(kata_data.head, jsonb) is
'The version of each message of a batch: the one that it will take, or that of the entry which has its external id. Of two messages with
one id the first is new.';

create or replace function kata_data.refuse_taken_id(context_id uuid, external_id text, taken bigint, place bigint default null)
returns void
language plpgsql stable
as $$
begin
  raise exception using
    errcode = 'KC004',
    message = format('external id "%s" is taken', left(external_id, 100)),
    detail = concat_ws(' ',
      case when taken is null then 'An earlier message of the batch has it.' else format('Version %s of context %s has it.', taken, context_id) end,
      case when place is not null then format('Message %s of the batch gives it again.', place) end),
    hint = 'An external id names one entry of a line: pass another, or none; kata.append with on_duplicate => skip leaves such a message out.';
end
$$;
comment on function kata_data.refuse_taken_id(uuid, text, bigint, bigint) is
'Refuses an external id that an entry has. KC004.

taken: its version; null: it is a message of the same batch. place: of the message in a batch that gives the id again.';

create or replace function kata_data.new_messages(head kata_data.head, messages jsonb, ids kata_data.batch_ids, on_duplicate text)
returns jsonb
language plpgsql stable
as $$
begin
  if on_duplicate = 'error' then
    perform kata_data.refuse_taken_id(
      head.context_id, ids.external_ids[i.place], case when ids.versions[i.place] <= head.version then ids.versions[i.place] end,
      case when cardinality(ids.versions) > 1 then i.place end)
    from generate_subscripts(ids.is_new, 1) i(place)
    where not ids.is_new[i.place]
    order by i.place
    limit 1;
  end if;
  return (
    select coalesce(jsonb_agg(messages -> (p.place - 1)::integer order by p.place), '[]')
    from unnest(ids.places) p(place));
end
$$;
comment on function kata_data.new_messages(kata_data.head, jsonb, kata_data.batch_ids, text) is
'The messages of a batch whose external ids are not taken. KC004 where one is, unless on_duplicate is skip.';

create or replace function kata_data.insert_ids(head kata_data.head, ids kata_data.batch_ids) returns void
language plpgsql volatile
as $$
begin
  insert into kata_data.entry_id (segment_id, external_id, version)
  -- Not by subscript: an element of an array of texts is found by walking through those before it.
  select head.context_id, i.external_id, i.version
  from unnest(ids.external_ids, ids.versions, ids.is_new) i(external_id, version, is_new)
  where i.is_new
    and i.external_id is not null;
end
$$;
comment on function kata_data.insert_ids(kata_data.head, kata_data.batch_ids) is
'Gives the new messages of a batch their external ids.';

create or replace function kata_data.rows_of_batch(context_id uuid, ids kata_data.batch_ids)
returns table (version bigint, token_count integer, created_at timestamptz, is_new boolean)
language plpgsql stable
as $$
begin
  return query
  select b.version, coalesce(m.token_count, 0), coalesce(m.created_at, c.created_at), b.is_new
  from unnest(ids.versions, ids.is_new) with ordinality b(version, is_new, place)
  cross join kata_data.segments(rows_of_batch.context_id, b.version, b.version) s
  left join lateral (
    select m.token_count, m.created_at
    from kata_data.message m
    where m.segment_id = s.segment_id
      and m.version = b.version
    offset 0
  ) m on true
  left join lateral (
    -- A record.
    select c.created_at
    from kata_data.view_change c
    where c.segment_id = s.segment_id
      and c.version = b.version
      and m.created_at is null
    offset 0
  ) c on true
  order by b.place;
end
$$;
comment on function kata_data.rows_of_batch(uuid, kata_data.batch_ids) is
'What append returns for a batch: one row per given message, in order.';
