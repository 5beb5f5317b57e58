-- Checkpoints of LangGraph, in the schema kata_langgraph. KataSaver.setup() runs this file, as a role that may act as kata_owner.
--
-- thread has one row per thread of LangGraph, which is a context: the context's name is the id of the thread. checkpoint has one row per
-- checkpoint: its own fields, and the values of channels that it brings; of a value that an earlier checkpoint has brought it names that one. A list
-- of messages is a text of their versions in the log, and holds no word of them. write has one row per task and checkpoint, with its pending writes.
-- A value may name a message before it is in the log: then the message waits in drafts of its row. The checkpoint that brings it to the log replaces
-- it by its version. A checkpoint that is removed while others need its values has no body any more.
--
-- Ids are packed: 01 and the bytes of a UUID, or 00 and the UTF-8 of any other text. UUIDs that ascend with time do so packed.
--
-- Functions check access and lock as kata.append does: the head of the context first. All rows go with the purge of the context, by the foreign
-- key on kata_data.attachment. Deleting a context leaves them, so that kata.restore_context brings the thread back whole.
--
-- The view of the context follows the state of the graph: a checkpoint that does not continue the newest one rewinds to its parent first, and
-- messages that are not in the list any more leave the view.

create table if not exists kata_langgraph.thread (
  context_id uuid constraint thread_pkey primary key
    constraint thread_attachment_fkey references kata_data.attachment on delete cascade,
  tenant text not null,
  thread_id text not null,
  start_version bigint not null,
  shown_id bytea,
  salt bytea not null default uuid_send(gen_random_uuid())
);
comment on table kata_langgraph.thread is 'One row per thread, which is a context.';
comment on column kata_langgraph.thread.context_id is 'The context.';
comment on column kata_langgraph.thread.tenant is 'The tenant of the context.';
comment on column kata_langgraph.thread.thread_id is 'The id of the thread; the name of the context, where it can be one.';
comment on column kata_langgraph.thread.start_version is 'The version of the context before its first checkpoint.';
comment on column kata_langgraph.thread.shown_id is 'The checkpoint of the root graph whose messages the view shows.';
comment on column kata_langgraph.thread.salt is 'What the ids of messages without an id are made with: words that were erased cannot be guessed by them.';

create table if not exists kata_langgraph.checkpoint (
  context_id uuid constraint checkpoint_thread_fkey references kata_langgraph.thread on delete cascade,
  ns text collate "C",
  checkpoint_id bytea,
  parent_id bytea,
  version bigint not null,
  type text,
  body bytea,
  metadata jsonb not null,
  channels text[] collate "C",
  versions bigint[],
  types text[],
  data bytea[],
  sources bytea[],
  drafts jsonb,
  constraint checkpoint_pkey primary key (context_id, ns, checkpoint_id)
);
comment on table kata_langgraph.checkpoint is 'One row per checkpoint.';
comment on column kata_langgraph.checkpoint.context_id is 'The context of the thread.';
comment on column kata_langgraph.checkpoint.ns is 'The namespace: empty for the root graph.';
comment on column kata_langgraph.checkpoint.checkpoint_id is 'The id of the checkpoint, packed; ids ascend with time.';
comment on column kata_langgraph.checkpoint.parent_id is 'The checkpoint that it continues; null for the first one.';
comment on column kata_langgraph.checkpoint.version is 'The version of the context when it was stored.';
comment on column kata_langgraph.checkpoint.type is 'The type of body, as the serializer names it.';
comment on column kata_langgraph.checkpoint.body is
'The checkpoint without its id and the values of channels, serialized; null for one that was removed and has values that others need.';
comment on column kata_langgraph.checkpoint.metadata is 'The metadata, which list filters by.';
comment on column kata_langgraph.checkpoint.channels is 'The channels that have a value.';
comment on column kata_langgraph.checkpoint.versions is 'By channel its version, or a digest of one that is not a number.';
comment on column kata_langgraph.checkpoint.types is
'By channel the type of data, as the serializer names it; messages or snapshot for a list of messages; null for a value of another checkpoint.';
comment on column kata_langgraph.checkpoint.data is
'By channel the value, serialized; of a list of messages the first and last version of each run of versions, in the order of the list.';
comment on column kata_langgraph.checkpoint.sources is
'By channel the checkpoint that has the value, null for this one; empty for a value that only others need. Null if all values are of this one.';
comment on column kata_langgraph.checkpoint.drafts is
'Messages that values name before they are in the log, by the key in the value: digest, id and message; a version once it is there.';

create index if not exists checkpoint_run on kata_langgraph.checkpoint ((metadata ->> 'run_id')) where metadata ? 'run_id';
comment on index kata_langgraph.checkpoint_run is 'delete_for_runs.';

create table if not exists kata_langgraph.write (
  context_id uuid constraint write_thread_fkey references kata_langgraph.thread on delete cascade,
  ns text collate "C",
  checkpoint_id bytea,
  task_id bytea,
  task_path text not null collate "C",
  indexes integer[] not null,
  channels text[] not null collate "C",
  types text[] not null,
  data bytea[] not null,
  drafts jsonb,
  constraint write_pkey primary key (context_id, ns, checkpoint_id, task_id)
);
comment on table kata_langgraph.write is 'One row per task that has written after a checkpoint.';
comment on column kata_langgraph.write.context_id is 'The context of the thread.';
comment on column kata_langgraph.write.ns is 'The namespace.';
comment on column kata_langgraph.write.checkpoint_id is 'The checkpoint that the task started from, packed.';
comment on column kata_langgraph.write.task_id is 'The task, packed.';
comment on column kata_langgraph.write.task_path is 'The path of the task, which orders tasks of one step.';
comment on column kata_langgraph.write.indexes is 'By write its place in the task; below zero for errors and interrupts.';
comment on column kata_langgraph.write.channels is 'By write the channel.';
comment on column kata_langgraph.write.types is 'By write the type of data, as the serializer names it.';
comment on column kata_langgraph.write.data is 'By write the value, serialized.';
comment on column kata_langgraph.write.drafts is 'As in checkpoint.';

-- Statistics would keep what an erasure or a purge removes.
alter table kata_langgraph.thread alter column thread_id set statistics 0;
alter table kata_langgraph.checkpoint
  alter column body set statistics 0, alter column metadata set statistics 0, alter column data set statistics 0, alter column drafts set statistics 0;
alter table kata_langgraph.write alter column data set statistics 0, alter column drafts set statistics 0;

-- Defense in depth, as in kata_data: no role has a privilege on a table, and rows of another tenant stay invisible.
alter table kata_langgraph.thread enable row level security;
alter table kata_langgraph.thread force row level security;
drop policy if exists thread_of_tenant on kata_langgraph.thread;
create policy thread_of_tenant on kata_langgraph.thread
  using ((select kata.current_tenant()) = any (array[tenant, '*']))
  with check ((select kata.current_tenant()) = any (array[tenant, '*']));

-- Functions are made anew, whatever their parameters were.
do $$
declare
  v_function regprocedure;
begin
  for v_function in select p.oid from pg_proc p where p.pronamespace = 'kata_langgraph'::regnamespace loop
    execute format('drop function %s', v_function);
  end loop;
end
$$;

create function kata_langgraph.span_set(spans bigint[]) returns int8multirange
language sql immutable
as $$
  select coalesce(range_agg(int8range(spans[2 * i - 1], spans[2 * i], '[]')), '{}')
  from generate_series(1, cardinality(spans) / 2) i
$$;
comment on function kata_langgraph.span_set(bigint[]) is 'The versions of spans, as a set.';

create function kata_langgraph.open_thread(name text, thread_id text) returns uuid
language plpgsql volatile
as $$
declare
  v_context_id uuid := kata.find_context(name);
  v_head kata_data.head;
begin
  if v_context_id is null then
    select g.context_id into v_context_id from kata.get_or_create_context(name, '{"strict": false}') g;
  end if;
  v_head := kata_data.lock_context(v_context_id);
  -- Under the lock of the head, so the rows are looked up once more only for a new thread.
  perform from kata_langgraph.thread t where t.context_id = v_context_id;
  if not found then
    insert into kata_data.attachment (context_id) values (v_context_id) on conflict on constraint attachment_pkey do nothing;
    insert into kata_langgraph.thread (context_id, tenant, thread_id, start_version)
    values (v_context_id, v_head.tenant, open_thread.thread_id, v_head.version);
  end if;
  return v_context_id;
end
$$;
comment on function kata_langgraph.open_thread(text, text) is
'The context of a thread, made where there is none, and locked. Its calls may be unanswered: states of graphs are.';

create function kata_langgraph.find_thread(name text) returns uuid
language plpgsql stable
as $$
begin
  return (
    select t.context_id
    from kata_langgraph.thread t
    where t.context_id = kata.find_context(name));
end
$$;
comment on function kata_langgraph.find_thread(text) is 'The context of a thread; null where there is none.';

create function kata_langgraph.without_open_calls(context_id uuid, messages jsonb) returns jsonb
language plpgsql stable
as $$
declare
  v_open jsonb := (select h.open_calls from kata_data.head h where h.context_id = without_open_calls.context_id);
  v_taken text[];
begin
  -- Calls that are open, and those that the batch makes more than once.
  select array_agg(c.id) into v_taken
  from (
    select c.call ->> 'id' as id
    from jsonb_array_elements(messages) m(message)
    cross join jsonb_array_elements(m.message -> 'tool_calls') c(call)
    where m.message ? 'tool_calls'
    group by 1
    having count(*) > 1 or v_open ? (c.call ->> 'id')
  ) c;
  if v_taken is null then
    return messages;
  end if;
  return (
    select jsonb_agg(
      case when exists (
        select from jsonb_array_elements(m.message -> 'tool_calls') c(call) where c.call ->> 'id' = any (v_taken))
      then m.message - 'tool_calls' || jsonb_build_object(
        'content', coalesce(nullif(m.message -> 'content', 'null'), '""'),
        'provider', jsonb_set(
          coalesce(m.message -> 'provider', '{}'), '{langgraph}',
          coalesce(m.message #> '{provider,langgraph}', '{}') || jsonb_build_object('tool_calls', m.message -> 'tool_calls')))
      else m.message end order by m.place)
    from jsonb_array_elements(messages) with ordinality m(message, place));
end
$$;
comment on function kata_langgraph.without_open_calls(uuid, jsonb) is
'Messages of which those that repeat an open call have their calls in provider: a log has one open call of an id.';

create function kata_langgraph.is_at(context_id uuid, version bigint, message jsonb) returns boolean
language plpgsql stable
as $$
begin
  return exists (
    select
    from kata.get_message(context_id, version) m
    where m.role = message ->> 'role'
      and coalesce(m.content, '') = coalesce(message ->> 'content', '')
      and m.tool_call_id is not distinct from message ->> 'tool_call_id'
      -- As without_open_calls may have left it.
      and coalesce(m.tool_calls, m.provider #> '{langgraph,tool_calls}') is not distinct from message -> 'tool_calls'
      and m.parts is not distinct from message -> 'parts'
      and nullif(m.provider #- '{langgraph,id}' #- '{langgraph,tool_calls}', '{"langgraph": {}}') is not distinct from
        nullif(message -> 'provider' #- '{langgraph,id}', '{"langgraph": {}}'));
end
$$;
comment on function kata_langgraph.is_at(uuid, bigint, jsonb) is 'Whether a message of the log is the same as another one, whatever their ids.';

create function kata_langgraph.with_salt(context_id uuid, drafts jsonb) returns jsonb
language plpgsql stable
as $$
begin
  if not drafts @? '$[*].message.external_id ? (@ starts with "#")' then
    return drafts;
  end if;
  return (
    select jsonb_agg(
      case when d.draft #>> '{message,external_id}' like '#%' then jsonb_set(
        d.draft, '{message,external_id}',
        to_jsonb('#' || left(encode(sha256(t.salt || convert_to(d.draft #>> '{message,external_id}', 'UTF8')), 'hex'), 32)))
      else d.draft end order by d.place)
    from jsonb_array_elements(drafts) with ordinality d(draft, place)
    join kata_langgraph.thread t on t.context_id = with_salt.context_id);
end
$$;
comment on function kata_langgraph.with_salt(uuid, jsonb) is
'Messages of which those without an id have one from their digest and the salt of the thread, in place of the digest.';

create function kata_langgraph.find_drafts(context_id uuid, drafts jsonb) returns bigint[]
language sql stable
as $$
  select coalesce(array_agg(
    case
      when f.version is null then null
      when kata_langgraph.is_at(find_drafts.context_id, f.version, d.draft -> 'message') then f.version
    end order by d.place), '{}')
  from jsonb_array_elements(drafts) with ordinality d(draft, place)
  cross join lateral kata.find_message(find_drafts.context_id, d.draft #>> '{message,external_id}') f(version)
$$;
comment on function kata_langgraph.find_drafts(uuid, jsonb) is
'The version of each message, null for one that is not in the log, or has other words there.

drafts: objects with message, as kata.append takes it.';

create function kata_langgraph.place_drafts(context_id uuid, drafts jsonb, present bigint[]) returns bigint[]
language plpgsql volatile
as $$
declare
  v_is_exact boolean := (select h.tokenizer = 'o200k_base' from kata_data.head h where h.context_id = place_drafts.context_id);
  v_versions bigint[] := present;
  v_new jsonb := '[]';
  v_places integer[] := '{}';
  v_message jsonb;
  v_place integer;
  v_version bigint;
begin
  for v_message, v_place in
    select d.draft -> 'message', d.place
    from jsonb_array_elements(drafts) with ordinality d(draft, place)
    where present[d.place] is null
    order by d.place
  loop
    if kata.find_message(context_id, v_message ->> 'external_id') is not null then
      -- Other words under the id: a message of its own, which keeps the id beside.
      v_message := jsonb_set(
        v_message - 'external_id' || jsonb_build_object('provider', coalesce(v_message -> 'provider', '{}')), '{provider,langgraph}',
        jsonb_build_object('id', v_message ->> 'external_id') || coalesce(v_message #> '{provider,langgraph}', '{}'));
    end if;
    v_new := v_new || jsonb_build_array(case when v_is_exact then v_message else v_message - 'token_count' - 'token_source' end);
    v_places := v_places || v_place;
  end loop;

  v_new := kata_langgraph.without_open_calls(context_id, v_new);
  for v_place, v_version in
    select v_places[b.first + a.number], a.version
    from generate_series(0, cardinality(v_places) - 1, 5000) b(first)
    cross join lateral kata.append(
      place_drafts.context_id, jsonb_path_query_array(v_new, '$[$first to $last]', jsonb_build_object('first', b.first, 'last', b.first + 4999)))
      with ordinality a(version, token_count, created_at, is_new, number)
  loop
    v_versions[v_place] := v_version;
  end loop;
  return v_versions;
end
$$;
comment on function kata_langgraph.place_drafts(uuid, jsonb, bigint[]) is
'Appends the messages that are not in the log, and returns the version of each. The caller holds the lock of the head.

drafts: objects with message, as kata.append takes it, its tokens counted in o200k_base. present: of find_drafts.';

create function kata_langgraph.go_back(context_id uuid, to_version bigint) returns void
language plpgsql volatile
as $$
begin
  if to_version < (select h.version from kata_data.head h where h.context_id = go_back.context_id) then
    perform kata.rewind(context_id, to_version);
  end if;
end
$$;
comment on function kata_langgraph.go_back(uuid, bigint) is 'Rewinds the view to a version, unless it is there.';

create function kata_langgraph.take_from_view(context_id uuid, removed int8multirange, kept int8multirange) returns void
language plpgsql volatile
as $$
declare
  v_range int8range;
begin
  -- A rewind would take back what has changed the view since.
  if not isempty(removed) and not kept && int8range(lower(removed), null) and (
    select coalesce(h.view_version, 0) < lower(removed) from kata_data.head h where h.context_id = take_from_view.context_id) then
    perform kata_langgraph.go_back(context_id, lower(removed) - 1);
    return;
  end if;
  foreach v_range in array array(select unnest(removed)) loop
    begin
      perform kata.delete_messages(context_id, lower(v_range), upper(v_range) - 1);
    exception
      -- A call is open, or a compaction covers them: they leave the view later, or have left it.
      when sqlstate 'KC005' or sqlstate 'KC017' then null;
    end;
  end loop;
end
$$;
comment on function kata_langgraph.take_from_view(uuid, int8multirange, int8multirange) is
'Takes messages from the view that a list does not have any more: the end of the list by a rewind, others by deletion.';

create function kata_langgraph.go_to_branch(context_id uuid, parent_id bytea, named bigint[]) returns boolean
language plpgsql volatile
as $$
declare
  v_thread kata_langgraph.thread;
  v_back bigint;
begin
  select t.* into strict v_thread from kata_langgraph.thread t where t.context_id = go_to_branch.context_id;
  if v_thread.shown_id is not null and v_thread.shown_id is distinct from parent_id then
    -- A parent that was pruned leaves the view as it is.
    v_back := case
      when parent_id is null then v_thread.start_version
      else (
        select c.version
        from kata_langgraph.checkpoint c
        where c.context_id = go_to_branch.context_id and c.ns = '' and c.checkpoint_id = go_to_branch.parent_id and c.body is not null)
    end;
    if upper(kata_langgraph.span_set(named)) - 1 > v_back then
      return false;
    end if;
    perform kata_langgraph.go_back(context_id, v_back);
  end if;
  return true;
end
$$;
comment on function kata_langgraph.go_to_branch(uuid, bytea, bigint[]) is
'Has the view show the state of the checkpoint that the next one continues.

named: versions of the messages that the next one has. Returns false, and changes nothing, if some of them are of another branch: hidden after the
rewind, they have to be appended again.';

create function kata_langgraph.values_of(context_id uuid, ns text, checkpoint_id bytea)
returns table (channel text, type text, data bytea, drafts jsonb)
language sql stable
as $$
  select v.channel, coalesce(v.type, s.type), coalesce(v.data, s.data), case when v.type is null then s.drafts else c.drafts end
  from kata_langgraph.checkpoint c
  cross join lateral unnest(c.channels, c.versions, c.types, c.data, c.sources) v(channel, version, type, data, source)
  left join lateral (
    select x.type, x.data, h.drafts
    from kata_langgraph.checkpoint h
    cross join lateral unnest(h.channels, h.versions, h.types, h.data) x(channel, version, type, data)
    where h.context_id = c.context_id and h.ns = c.ns and h.checkpoint_id = v.source
      and v.type is null and x.channel = v.channel and x.version = v.version and x.type is not null
    -- Looked up by its key: a join would read the whole thread.
    limit 1
  ) s on true
  where c.context_id = values_of.context_id
    and c.ns = values_of.ns
    and c.checkpoint_id = values_of.checkpoint_id
    and v.source is distinct from ''
$$;
comment on function kata_langgraph.values_of(uuid, text, bytea) is 'The values of a checkpoint, those of earlier checkpoints included.';

create function kata_langgraph.leave_out(context_id uuid, parent_id bytea, channel text, kept int8multirange) returns void
language plpgsql volatile
as $$
declare
  v_spans bigint[];
begin
  select string_to_array(convert_from(v.data, 'UTF8'), ' ')::bigint[] into v_spans
  from kata_langgraph.values_of(context_id, '', parent_id) v
  where v.channel = leave_out.channel
    and v.type in ('messages', 'snapshot');
  perform kata_langgraph.take_from_view(context_id, kata_langgraph.span_set(v_spans) - kept, kept);
end
$$;
comment on function kata_langgraph.leave_out(uuid, bytea, text, int8multirange) is
'Takes messages from the view that a list has in the parent of the next checkpoint, and not in that one.';

create function kata_langgraph.list_spans(items jsonb, versions bigint[]) returns bigint[]
language plpgsql immutable
as $$
declare
  v_spans bigint[] := '{}';
  v_first bigint;
  v_last bigint;
  v_item jsonb;
begin
  for v_item in select i.item from jsonb_array_elements(items) with ordinality i(item, place) order by i.place loop
    if jsonb_typeof(v_item) = 'array' then
      v_first := (v_item -> 0)::bigint;
      v_last := (v_item -> 1)::bigint;
    else
      v_first := versions[v_item::integer + 1];
      v_last := v_first;
    end if;
    continue when v_first is null;
    if v_first = v_spans[cardinality(v_spans)] + 1 then
      v_spans[cardinality(v_spans)] := v_last;
    else
      v_spans := v_spans || v_first || v_last;
    end if;
  end loop;
  return v_spans;
end
$$;
comment on function kata_langgraph.list_spans(jsonb, bigint[]) is
'The spans of a list. items: arrays of a first and a last version, and numbers, the places of drafts in versions, from 0;
a place without a version is left out.';

create function kata_langgraph.link(drafts jsonb, placed jsonb, versions bigint[]) returns jsonb
language sql immutable
as $$
  select jsonb_object_agg(
    d.key, case
      when p.version is null then d.value
      when d.value ->> 'id' is null or d.value ->> 'id' = p.id then to_jsonb(p.version)
      else jsonb_build_object('version', p.version, 'id', d.value -> 'id')
    end)
  from jsonb_each(drafts) d
  left join lateral (
    select versions[p.place] as version, p.draft ->> 'id' as id
    from jsonb_array_elements(placed) with ordinality p(draft, place)
    where p.draft ->> 'digest' = d.value ->> 'digest'
    order by p.draft ->> 'id' = d.value ->> 'id' desc nulls last, p.place
    limit 1
  ) p on true
$$;
comment on function kata_langgraph.link(jsonb, jsonb, bigint[]) is
'Drafts with the versions of those that were placed; id stays where the message of the log has another one.';

create function kata_langgraph.link_all(context_id uuid, ns text, checkpoint_ids bytea[], placed jsonb, versions bigint[]) returns void
language sql volatile
as $$
  update kata_langgraph.checkpoint c
  set drafts = kata_langgraph.link(c.drafts, placed, link_all.versions)
  where c.context_id = link_all.context_id
    and c.ns = link_all.ns
    and c.checkpoint_id = any (checkpoint_ids)
    and c.drafts @? '$.*.message';
  update kata_langgraph.write w
  set drafts = kata_langgraph.link(w.drafts, placed, link_all.versions)
  where w.context_id = link_all.context_id
    and w.ns = link_all.ns
    and w.checkpoint_id = any (checkpoint_ids)
    and w.drafts @? '$.*.message';
$$;
comment on function kata_langgraph.link_all(uuid, text, bytea[], jsonb, bigint[]) is
'Replaces messages that values and writes name by the versions that they have in the log now.';

create function kata_langgraph.link_late(context_id uuid, ns text, checkpoint_id bytea, drafts jsonb) returns jsonb
language plpgsql stable
as $$
declare
  v_first bigint;
  v_last bigint;
begin
  select c.version + 1, n.version into v_first, v_last
  from kata_langgraph.checkpoint c
  cross join lateral (
    select max(n.version) as version
    from kata_langgraph.checkpoint n
    where n.context_id = c.context_id and n.ns = c.ns and n.checkpoint_id > c.checkpoint_id and n.parent_id = c.checkpoint_id
  ) n
  where c.context_id = link_late.context_id
    and c.ns = link_late.ns
    and c.checkpoint_id = link_late.checkpoint_id;
  if v_first is null or v_last is null or v_first > v_last then
    return drafts;
  end if;
  return (
    select jsonb_object_agg(
      d.key, case
        when f.version is null then d.value
        when d.value ->> 'id' is null then to_jsonb(f.version)
        else jsonb_build_object('version', f.version, 'id', d.value -> 'id')
      end)
    from jsonb_each(drafts) d
    left join lateral (
      select min(v.version) as version
      from generate_series(v_first, v_last) v(version)
      where kata_langgraph.is_at(link_late.context_id, v.version, d.value -> 'message')
    ) f on true);
end
$$;
comment on function kata_langgraph.link_late(uuid, text, bytea, jsonb) is
'Drafts of writes with the versions of those that the next checkpoint, faster than the writes, has appended.';

create function kata_langgraph.find_sources(
  context_id uuid, ns text, parent_id bytea, channels text[], versions bigint[], types text[]
) returns bytea[]
language plpgsql stable
as $$
begin
  if array_position(types, null) is null then
    return null;
  end if;
  return (
    select array_agg(case when v.type is null then coalesce(f.source, a.source, '') end order by v.place)
    from unnest(channels, find_sources.versions, types) with ordinality v(channel, version, type, place)
    left join lateral (
      select case when x.type is null then x.source else c.checkpoint_id end as source
      from kata_langgraph.checkpoint c
      cross join lateral unnest(c.channels, c.versions, c.types, c.sources) x(channel, version, type, source)
      where c.context_id = find_sources.context_id and c.ns = find_sources.ns and c.checkpoint_id = find_sources.parent_id
        and v.type is null and x.channel = v.channel and x.version = v.version and (x.type is not null or x.source > '')
      limit 1
    ) f on true
    -- Copied by hand from a checkpoint that is not the parent.
    left join lateral (
      select case when x.type is null then x.source else c.checkpoint_id end as source
      from kata_langgraph.checkpoint c
      cross join lateral unnest(c.channels, c.versions, c.types, c.sources) x(channel, version, type, source)
      where c.context_id = find_sources.context_id and c.ns = find_sources.ns
        and v.type is null and f.source is null
        and x.channel = v.channel and x.version = v.version and (x.type is not null or x.source > '')
      order by c.checkpoint_id desc
      limit 1
    ) a on true);
end
$$;
comment on function kata_langgraph.find_sources(uuid, text, bytea, text[], bigint[], text[]) is
'By channel the checkpoint that has the value of a version, where a checkpoint does not bring it itself; empty where none has it.';

create function kata_langgraph.put_again(old kata_langgraph.checkpoint, new kata_langgraph.checkpoint) returns void
language sql volatile
as $$
  update kata_langgraph.checkpoint c
  set type = new.type, body = new.body, metadata = new.metadata, version = new.version, drafts = coalesce(old.drafts || new.drafts, old.drafts, new.drafts),
    (channels, versions, types, data, sources) = (
      select array_agg(v.channel), array_agg(v.version), array_agg(v.type), array_agg(v.data), array_agg(v.source)
      from (
        select n.channel, n.version, coalesce(o.type, n.type) as type, coalesce(o.data, n.data) as data, case when o.type is null then n.source end as source
        from unnest(new.channels, new.versions, new.types, new.data, new.sources) n(channel, version, type, data, source)
        left join unnest(old.channels, old.versions, old.types, old.data) o(channel, version, type, data)
          on o.channel = n.channel and o.version = n.version and o.type is not null
        union all
        select o.channel, o.version, o.type, o.data, ''
        from unnest(old.channels, old.versions, old.types, old.data) o(channel, version, type, data)
        where o.type is not null
          and not exists (
            select from unnest(new.channels, new.versions) n(channel, version) where n.channel = o.channel and n.version = o.version)
      ) v)
  where c.context_id = old.context_id
    and c.ns = old.ns
    and c.checkpoint_id = old.checkpoint_id
$$;
comment on function kata_langgraph.put_again(kata_langgraph.checkpoint, kata_langgraph.checkpoint) is
'Stores a checkpoint that is there. Values that it has stay, also those that only others need now.';

create function kata_langgraph.put_checkpoint(
  name text, thread_id text, known uuid, ns text, checkpoint_id bytea, parent_id bytea, type text, body bytea, metadata jsonb,
  channels text[], channel_versions bigint[], types text[], data bytea[], lists jsonb, placed jsonb, drafts jsonb,
  out context_id uuid, out versions bigint[]
) returns record
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
  v_main jsonb := lists -> 'messages';
  v_place integer := array_position(channels, 'messages');
  v_found bigint[] := '{}';
  v_moves boolean;
  v_old kata_langgraph.checkpoint;
  v_new kata_langgraph.checkpoint;
begin
  context_id := kata_langgraph.open_thread(name, thread_id);
  -- The view shows a checkpoint already that is put again.
  v_moves := ns = '' and not exists (
    select from kata_langgraph.thread t where t.context_id = put_checkpoint.context_id and t.shown_id = put_checkpoint.checkpoint_id);
  if known <> context_id or (
    v_moves and not kata_langgraph.go_to_branch(
      context_id, parent_id, kata_langgraph.list_spans(jsonb_path_query_array(v_main, 'strict $[*] ? (@.type() == "array")'), '{}'))) then
    return;
  end if;
  if placed <> '[]' then
    placed := kata_langgraph.with_salt(context_id, placed);
    v_found := kata_langgraph.find_drafts(context_id, placed);
  end if;
  if v_moves and (v_place is null or types[v_place] is not null) then
    perform kata_langgraph.leave_out(
      context_id, parent_id, 'messages', kata_langgraph.span_set(kata_langgraph.list_spans(coalesce(v_main, '[]'), v_found)));
  end if;
  versions := case when placed = '[]' then '{}' else kata_langgraph.place_drafts(context_id, placed, v_found) end;
  for v_number in 1 .. cardinality(channels) loop
    if lists ? channels[v_number] then
      data[v_number] := convert_to(array_to_string(kata_langgraph.list_spans(lists -> channels[v_number], versions), ' '), 'UTF8');
    end if;
  end loop;

  v_new := (
    context_id, ns, checkpoint_id, parent_id, (select h.version from kata_data.head h where h.context_id = put_checkpoint.context_id), type, body, metadata,
    channels, channel_versions, types, data, kata_langgraph.find_sources(context_id, ns, parent_id, channels, channel_versions, types),
    kata_langgraph.link(nullif(drafts, '{}'), placed, versions));
  select c.* into v_old
  from kata_langgraph.checkpoint c
  where c.context_id = put_checkpoint.context_id and c.ns = put_checkpoint.ns and c.checkpoint_id = put_checkpoint.checkpoint_id;
  if found then
    perform kata_langgraph.put_again(v_old, v_new);
  else
    insert into kata_langgraph.checkpoint select v_new.*;
  end if;
  if placed <> '[]' then
    perform kata_langgraph.link_all(context_id, ns, array[checkpoint_id, parent_id], placed, versions);
  end if;
  if v_moves then
    update kata_langgraph.thread t set shown_id = put_checkpoint.checkpoint_id where t.context_id = put_checkpoint.context_id;
  end if;
end
$$;
comment on function kata_langgraph.put_checkpoint(
  text, text, uuid, text, bytea, bytea, text, bytea, jsonb, text[], bigint[], text[], bytea[], jsonb, jsonb, jsonb) is
'Stores a checkpoint, and appends the messages that its lists bring.

known: the context whose versions the lists name, null if they name none. types, data: by channel the value; null for one that is stored, messages or
snapshot and null for one of lists. lists: by channel the items of a list of messages.
placed: messages for the log, named by items from 0; drafts: messages that values name, by key. Both are objects with digest, id and message.

Returns the context, and the versions of what was placed; null if the call has to name no versions: they are of another context, or of another
branch. Then nothing was stored.';

create function kata_langgraph.put_writes(
  name text, thread_id text, known uuid, ns text, checkpoint_id bytea, task_id bytea, task_path text, indexes integer[], channels text[],
  types text[], data bytea[], drafts jsonb, replaces boolean
) returns boolean
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
  v_context_id uuid := kata_langgraph.open_thread(name, thread_id);
begin
  if known <> v_context_id then
    return false;
  end if;
  insert into kata_langgraph.write as w (context_id, ns, checkpoint_id, task_id, task_path, indexes, channels, types, data, drafts)
  values (
    v_context_id, put_writes.ns, put_writes.checkpoint_id, put_writes.task_id, put_writes.task_path, put_writes.indexes, put_writes.channels,
    put_writes.types, put_writes.data,
    case when put_writes.drafts <> '{}' then kata_langgraph.link_late(v_context_id, put_writes.ns, put_writes.checkpoint_id, put_writes.drafts) end)
  on conflict on constraint write_pkey do update
  set drafts = coalesce(w.drafts || excluded.drafts, w.drafts, excluded.drafts),
    (indexes, channels, types, data) = (
      select array_agg(m.place order by m.place), array_agg(m.channel order by m.place), array_agg(m.type order by m.place),
        array_agg(m.data order by m.place)
      from (
        select distinct on (b.place) b.place, b.channel, b.type, b.data
        from (
          select o.place, o.channel, o.type, o.data, false as is_new
          from unnest(w.indexes, w.channels, w.types, w.data) o(place, channel, type, data)
          union all
          select n.place, n.channel, n.type, n.data, true
          from unnest(excluded.indexes, excluded.channels, excluded.types, excluded.data) n(place, channel, type, data)
        ) b
        order by b.place, b.is_new = replaces desc
      ) m);
  return true;
end
$$;
comment on function kata_langgraph.put_writes(
  text, text, uuid, text, bytea, bytea, text, integer[], text[], text[], bytea[], jsonb, boolean) is
'Stores writes of a task. known and drafts: as in put_checkpoint; replaces: whether writes of the same index are replaced, else kept.

Returns whether the thread is the context known; if not, nothing was stored.';

create function kata_langgraph.stamp(context_id uuid) returns text
language sql stable
as $$
  select count(*)::text
  from kata_data.lineage l
  join kata_data.erasure e on e.segment_id = l.segment_id
  where l.context_id = stamp.context_id
$$;
comment on function kata_langgraph.stamp(uuid) is
'A text that changes whenever words of the log do: with an erasure.';

create function kata_langgraph.checkpoints(
  name text, ns text, checkpoint_id bytea, before bytea, filter jsonb, max_rows integer, after_id bytea default null, after_context uuid default null,
  after_ns text default null
) returns table (
  thread_id text, context_id uuid, stamp text, checkpoint_ns text, id bytea, parent_id bytea, type text, body bytea, metadata jsonb,
  channels text[], types text[], data bytea[], drafts jsonb[],
  write_tasks bytea[], write_channels text[], write_types text[], write_data bytea[], write_drafts jsonb[]
)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set enable_bitmapscan = off
as $$
declare
  v_contexts uuid[];
  v_page kata_langgraph.checkpoint[];
begin
  v_contexts := case
    when name is not null then array[kata_langgraph.find_thread(name)]
    else array(
      select t.context_id
      from kata_langgraph.thread t
      join kata_data.context c on c.context_id = t.context_id
      where c.deleted_at is null)
  end;
  if name is not null and ns is not null then
    -- In the order of the index, from where the page begins. Packed ids are below 02.
    v_page := array(
      select c
      from kata_langgraph.checkpoint c
      where c.context_id = v_contexts[1] and c.ns = checkpoints.ns
        and c.checkpoint_id between coalesce(checkpoints.checkpoint_id, '\x00') and coalesce(checkpoints.checkpoint_id, '\x02')
        and c.checkpoint_id < least(before, after_id, '\x02')
        and c.body is not null
        and (filter is null or c.metadata @> filter)
      order by c.checkpoint_id desc
      limit max_rows);
  else
    v_page := array(
      select c
      from kata_langgraph.checkpoint c
      where c.context_id = any (v_contexts)
        and (checkpoints.ns is null or c.ns = checkpoints.ns)
        and (checkpoints.checkpoint_id is null or c.checkpoint_id = checkpoints.checkpoint_id)
        and (before is null or c.checkpoint_id < before)
        and (after_id is null or (c.checkpoint_id, c.context_id, c.ns) < (after_id, after_context, after_ns))
        and c.body is not null
        and (filter is null or c.metadata @> filter)
      order by c.checkpoint_id desc, c.context_id desc, c.ns desc
      limit max_rows);
  end if;
  return query
  select t.thread_id, p.context_id, kata_langgraph.stamp(p.context_id), p.ns, p.checkpoint_id, p.parent_id, p.type, p.body, p.metadata,
    b.channels, b.types, b.data, b.drafts, w.tasks, w.channels, w.types, w.data, w.drafts
  from unnest(v_page) p
  join kata_langgraph.thread t on t.context_id = p.context_id
  cross join lateral (
    select array_agg(v.channel) as channels, array_agg(v.type) as types, array_agg(v.data) as data, array_agg(v.drafts) as drafts
    from kata_langgraph.values_of(p.context_id, p.ns, p.checkpoint_id) v
  ) b
  cross join lateral (
    select array_agg(w.task_id order by w.task_path, w.task_id, x.place) as tasks, array_agg(x.channel order by w.task_path, w.task_id, x.place) as channels,
      array_agg(x.type order by w.task_path, w.task_id, x.place) as types, array_agg(x.data order by w.task_path, w.task_id, x.place) as data,
      array_agg(w.drafts order by w.task_path, w.task_id, x.place) as drafts
    from kata_langgraph.write w
    cross join lateral unnest(w.indexes, w.channels, w.types, w.data) x(place, channel, type, data)
    where w.context_id = p.context_id and w.ns = p.ns and w.checkpoint_id = p.checkpoint_id
  ) w
  order by p.checkpoint_id desc, p.context_id desc, p.ns desc;
end
$$;
comment on function kata_langgraph.checkpoints(text, text, bytea, bytea, jsonb, integer, bytea, uuid, text) is
'Lists checkpoints, newest first, with their values and writes.

name: of a thread, null for all live threads of the tenant. ns, checkpoint_id: null for all. before: only ids below this one. filter: contained in the
metadata. after_id, after_context, after_ns: the last row of the page before.';

create function kata_langgraph.contents(context_id uuid, spans bigint[]) returns table (version bigint, message jsonb)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
begin
  return query
  select m.version, jsonb_strip_nulls(jsonb_build_object(
      'role', m.role, 'content', m.content, 'tool_call_id', m.tool_call_id, 'tool_name', m.tool_name, 'tool_calls', m.tool_calls, 'name', m.name,
      'parts', m.parts, 'external_id', m.external_id)) || jsonb_build_object('provider', m.provider)
  from unnest(kata_langgraph.span_set(spans)) w(versions)
  cross join generate_series(lower(w.versions), upper(w.versions) - 1, 1000) p(first)
  cross join lateral kata.messages(
    contents.context_id, p.first - 1, least(1000, upper(w.versions) - p.first)::integer, visibility => 'all') m
  where m.version < upper(w.versions);
end
$$;
comment on function kata_langgraph.contents(uuid, bigint[]) is 'Reads messages of the log by their versions.';

create function kata_langgraph.sweep(context_id uuid) returns void
language sql volatile
as $$
  with used as (
    select distinct c.ns, x.source, x.channel, x.version
    from kata_langgraph.checkpoint c
    cross join lateral unnest(c.channels, c.versions, c.sources) x(channel, version, source)
    where c.context_id = sweep.context_id
      and c.body is not null
      and x.source > ''
  ),
  gone as (
    delete from kata_langgraph.checkpoint c
    where c.context_id = sweep.context_id
      and c.body is null
      and not exists (select from used u where u.ns = c.ns and u.source = c.checkpoint_id)
  )
  update kata_langgraph.checkpoint c
  set type = null, metadata = '{}', parent_id = null,
    (channels, versions, types, data, sources) = (
      select array_agg(x.channel), array_agg(x.version), array_agg(x.type), array_agg(x.data), array_agg(''::bytea)
      from unnest(c.channels, c.versions, c.types, c.data) x(channel, version, type, data)
      join used u on u.ns = c.ns and u.source = c.checkpoint_id and u.channel = x.channel and u.version = x.version
      where x.type is not null)
  where c.context_id = sweep.context_id
    and c.body is null
    and exists (select from used u where u.ns = c.ns and u.source = c.checkpoint_id);
  delete from kata_langgraph.write w
  where w.context_id = sweep.context_id
    and not exists (
      select
      from kata_langgraph.checkpoint c
      where c.context_id = w.context_id and c.ns = w.ns and c.checkpoint_id = w.checkpoint_id and c.body is not null);
$$;
comment on function kata_langgraph.sweep(uuid) is
'Removes the checkpoints of a thread whose body was removed, except values that others need, and what belonged to them.';

create function kata_langgraph.delete_for_runs(run_ids text[]) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_context_id uuid;
begin
  for v_context_id in
    select distinct c.context_id
    from kata_langgraph.checkpoint c
    join kata_langgraph.thread t on t.context_id = c.context_id
    where c.metadata ? 'run_id'
      and c.metadata ->> 'run_id' = any (run_ids)
    order by c.context_id
  loop
    perform kata_data.lock_context(v_context_id, 'any');
    update kata_langgraph.checkpoint c
    set body = null
    where c.context_id = v_context_id
      and c.metadata ? 'run_id'
      and c.metadata ->> 'run_id' = any (run_ids);
    perform kata_langgraph.sweep(v_context_id);
  end loop;
end
$$;
comment on function kata_langgraph.delete_for_runs(text[]) is
'Removes the checkpoints of runs, with their writes. Their messages stay in the log.';

create function kata_langgraph.kept_checkpoints(context_id uuid) returns table (ns text, checkpoint_id bytea)
language sql stable
as $$
  -- The values of delta channels are made from the writes of ancestors, back to one that has values of all of them.
  with recursive kept as (
    select c.ns, c.checkpoint_id, c.parent_id, c.channels, c.sources, c.metadata -> 'counters_since_delta_snapshot' as deltas
    from (
      select distinct on (c.ns) c.ns, c.checkpoint_id as newest
      from kata_langgraph.checkpoint c
      where c.context_id = kept_checkpoints.context_id and c.body is not null
      order by c.ns, c.checkpoint_id desc
    ) n
    join kata_langgraph.checkpoint c on c.context_id = kept_checkpoints.context_id and c.ns = n.ns and c.checkpoint_id = n.newest
    union all
    select c.ns, c.checkpoint_id, c.parent_id, c.channels, c.sources, k.deltas
    from kept k
    join kata_langgraph.checkpoint c on c.context_id = kept_checkpoints.context_id and c.ns = k.ns and c.checkpoint_id = k.parent_id
    where c.body is not null
      and exists (
        select
        from jsonb_object_keys(k.deltas) d(channel)
        where not exists (
          select from unnest(k.channels, k.sources) x(channel, source) where x.channel = d.channel and x.source is distinct from ''))
  )
  select k.ns::text, k.checkpoint_id from kept k
$$;
comment on function kata_langgraph.kept_checkpoints(uuid) is
'The newest checkpoint of each namespace, and the ancestors that its delta channels are made from.';

create function kata_langgraph.prune(names text[], strategy text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_context_id uuid;
begin
  for v_context_id in
    select distinct t.context_id
    from unnest(names) n(name)
    cross join lateral kata_langgraph.find_thread(n.name) t(context_id)
    where t.context_id is not null
    order by t.context_id
  loop
    perform kata_data.lock_context(v_context_id);
    update kata_langgraph.checkpoint c
    set body = null
    where c.context_id = v_context_id
      and (strategy = 'delete' or (c.ns, c.checkpoint_id) not in (
        select k.ns, k.checkpoint_id from kata_langgraph.kept_checkpoints(v_context_id) k));
    perform kata_langgraph.sweep(v_context_id);
  end loop;
end
$$;
comment on function kata_langgraph.prune(text[], text) is
'Removes checkpoints of threads. strategy: keep_latest keeps the newest of each namespace, delete keeps none. Messages stay in the log.';

create function kata_langgraph.copy_thread(source text, target text, target_id text) returns uuid
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_source uuid := kata_langgraph.find_thread(source);
  v_copy uuid;
begin
  if v_source is null then
    return null;
  end if;
  -- Locked, so that the fork and the rows are of one moment.
  perform kata_data.lock_context(v_source, 'read');
  v_copy := kata.fork(v_source, name => target);
  insert into kata_data.attachment (context_id) values (v_copy);
  insert into kata_langgraph.thread (context_id, tenant, thread_id, start_version, shown_id, salt)
  select v_copy, t.tenant, target_id, t.start_version, t.shown_id, t.salt from kata_langgraph.thread t where t.context_id = v_source;
  insert into kata_langgraph.checkpoint (
    context_id, ns, checkpoint_id, parent_id, version, type, body, metadata, channels, versions, types, data, sources, drafts)
  select v_copy, c.ns, c.checkpoint_id, c.parent_id, c.version, c.type, c.body, c.metadata, c.channels, c.versions, c.types, c.data, c.sources, c.drafts
  from kata_langgraph.checkpoint c where c.context_id = v_source;
  insert into kata_langgraph.write (context_id, ns, checkpoint_id, task_id, task_path, indexes, channels, types, data, drafts)
  select v_copy, w.ns, w.checkpoint_id, w.task_id, w.task_path, w.indexes, w.channels, w.types, w.data, w.drafts
  from kata_langgraph.write w where w.context_id = v_source;
  return v_copy;
end
$$;
comment on function kata_langgraph.copy_thread(text, text, text) is
'Copies a thread: a fork of its context, which shares the messages, and its checkpoints. Returns null where there is no such thread.';

grant usage on schema kata_langgraph to kata_reader;
grant execute on function kata_langgraph.checkpoints, kata_langgraph.contents to kata_reader;
grant execute on function
  kata_langgraph.copy_thread,
  kata_langgraph.delete_for_runs,
  kata_langgraph.prune,
  kata_langgraph.put_checkpoint,
  kata_langgraph.put_writes
to kata_writer;
