-- Fills a database for `make bench-scale`. A tenth of the contexts is written by the public functions. The others are copies of plain ones
-- among these, with ids, names, times and digests of their own: what create_context and append would have written, in a tenth of the time.
-- Contexts of a wave are written side by side, as in a service: the messages of one lie among those of the others.

create schema bench;

-- Real conversations, in steps that each end before a message of the user.
create table bench.step (conversation integer, number integer, messages jsonb not null, primary key (conversation, number));

create function bench.tenant_of(n bigint, contexts bigint) returns text
language sql immutable
as $$
  select case
    -- A hundred contexts of all ages, however many the others have.
    when n % greatest(contexts / 1000, 2) = 1 then 'small'
    when n % 2 = 0 then 'large'
    else 'tenant ' || n % 199
  end
$$;

-- The messages of the next step of a context; null where it has all.
create function bench.next_step(n bigint, number integer) returns jsonb
language sql stable
as $$
  select s.messages
  from bench.step s
  where next_step.number < case when n % 1000 = 50 then 100 else (array[1, 1, 2, 1, 2, 1, 3, 1, 2, 4])[1 + n / 7 % 10] end
    and s.conversation = n % 100
    and s.number = next_step.number % (select count(*) from bench.step o where o.conversation = n % 100)
$$;

create function bench.create_context(n bigint) returns uuid
language sql
as $$
  select kata.create_context(
    name => case when n % 3 = 0 then format('%s %s', (array['support', 'order', 'research'])[1 + n / 3 % 3], n) end,
    policy => case when n % 20 = 0 then '{"budget": 3000, "threshold": 0.5, "preserve_recent_count": 2, "strategy": "digest"}'::jsonb end,
    metadata => case when n % 4 = 0 then jsonb_build_object('user', n % 1000) else '{}' end)
$$;

-- Some contexts are forked, compacted, archived and the like after their messages.
create function bench.finish(n bigint, context_id uuid) returns void
language plpgsql
as $$
declare
  v_id uuid;
  v_version bigint;
  v_tokens bigint;
begin
  select u.version, u.view_tokens into v_version, v_tokens from kata.usage(finish.context_id) u;
  if n % 10 = 7 then
    v_id := kata.fork(finish.context_id, v_version - v_version % 3, case when n % 20 = 7 then 'fork ' || n end);
    perform from kata.append_message(v_id, 'user', 'Let us try it in another way.', 12);
  end if;
  if n % 10 = 9 then
    perform from kata.append_message(
      finish.context_id, 'assistant', 'I have found your reservation.', 9,
      request_id => (select r.request_id from kata.request(finish.context_id, 8000, 'openai', 'model-1') r));
  end if;
  if n % 40 = 0 and v_tokens > 800 then
    perform kata.compact(finish.context_id, 'digest', true);
  end if;
  if n % 20 = 2 then
    perform kata.index_search(finish.context_id);
  end if;
  if n % 50 = 17 then
    perform kata.put_embeddings(finish.context_id, 'toy', '{1,2}', '{{1,0,0,0,0,0,0,0},{0,1,0,0,0,0,0,0}}');
  end if;
  if n % 50 = 19 then
    perform kata.checkpoint(finish.context_id, 'begin', 1, 'where it began');
  end if;
  if n % 100 = 13 then
    perform from kata.erase_message(finish.context_id, 1, 'a request of the user');
  end if;
  if n % 20 = 3 then
    perform kata.archive_context(finish.context_id);
  end if;
  if n % 20 = 11 then
    perform kata.delete_context(finish.context_id);
  end if;
  if n % 100 = 11 then
    perform from kata.purge_context(finish.context_id);
  end if;
end
$$;

-- Copies the plain contexts among some, each a number of times. Digests name the context, so they are computed again.
-- Rows that a copy refers to are there, or come with it: no foreign key is looked up.
create function bench.copy(contexts uuid[], times integer) returns void
language plpgsql set session_replication_role = replica set work_mem = '64MB'
as $$
declare
  v_shift interval;
begin
  create temporary table if not exists copied (
    source uuid, id uuid, content jsonb, name text, first_digest bytea, first_at timestamptz) on commit delete rows;
  insert into copied
  select c.context_id, i.id, kata_data.first_content(r), r.name, kata_data.first_digest(i.id), c.created_at
  from kata_data.context c
  join kata_data.head h on h.context_id = c.context_id
  cross join generate_series(1, times) t
  cross join lateral (select kata_data.new_context_id((t + 409 * ascii(right(c.context_id::text, 1))) % 4096) as id offset 0) i
  cross join jsonb_populate_record(c, jsonb_build_object('name', c.name || '.' || t)) r
  where c.context_id = any (contexts)
    and c.tenant <> 'small'
    and h.view_version is null
    and not exists (select from kata_data.act a where a.context_id = c.context_id and a.number = 2)
    and not exists (select from kata_data.request q where q.context_id = c.context_id);
  analyze copied;
  v_shift := clock_timestamp() - (select min(k.first_at) from copied k);

  insert into kata_data.context
  select n.*
  from copied k
  join kata_data.context c on c.context_id = k.source
  cross join jsonb_populate_record(c, jsonb_build_object(
    'context_id', k.id, 'family_id', k.id, 'name', k.name, 'created_at', c.created_at + v_shift, 'updated_at', c.updated_at + v_shift)) n;
  insert into kata_data.act
  select (d.act).context_id, (d.act).number, (d.act).acted_at, (d.act).kind, (d.act).acted_by, kata_data.act_digest(d.first_digest, d.act),
    (d.act).facts, (d.act).salt, (d.act).content
  from (
    select k.first_digest, jsonb_populate_record(a, jsonb_build_object(
      'context_id', k.id, 'acted_at', a.acted_at + v_shift, 'content', k.content)) as act
    from copied k
    join kata_data.act a on a.context_id = k.source
    offset 0
  ) d;
  with message as (
    select k.first_digest, kata_data.content_digest_of(m) as content_digest,
      jsonb_populate_record(m, jsonb_build_object('segment_id', k.id, 'created_at', m.created_at + v_shift)) as message
    from copied k
    join kata_data.message m on m.segment_id = k.source
    -- Evaluated once, and not for each column of the frame.
    offset 0
  ),
  framed as materialized (
    select m.message, kata_data.entry_chain(m.first_digest, kata_data.frame_with(m.message, null, null), m.content_digest)
      over (partition by (m.message).segment_id order by (m.message).version) as digest
    from message m
  ),
  inserted as (
    insert into kata_data.message
    select n.*
    from framed f
    cross join jsonb_populate_record(f.message, jsonb_build_object('digest', f.digest)) n
    order by n.version / 5, n.segment_id
    returning segment_id, version, digest
  )
  insert into kata_data.head
  select n.*
  from copied k
  join kata_data.head h on h.context_id = k.source
  left join inserted i on i.segment_id = k.id and i.version = h.version
  cross join jsonb_populate_record(h, jsonb_build_object(
    'context_id', k.id, 'last_digest', coalesce(i.digest, k.first_digest), 'last_at', h.last_at + v_shift, 'due_at', h.due_at + v_shift)) n;
  insert into kata_data.lineage (context_id, first_version, segment_id)
  select k.id, 1, k.id from copied k;
  insert into kata_data.search_mark
  select k.id, s.indexed_through, s.analyzer from copied k join kata_data.search_mark s on s.segment_id = k.source;
  insert into kata_data.posting
  select k.id, p.term, p.first_version, p.items
  from copied k
  join kata_data.posting p on p.segment_id = k.source
  order by k.id;
end
$$;

-- Writes contexts first to last of a tenth of all.
create procedure bench.load(first bigint, last bigint, contexts bigint, wave integer default 200)
language plpgsql
as $$
declare
  v_ids uuid[];
  v_messages jsonb;
  v_written bigint;
begin
  for v_wave in first .. last by wave loop
    v_ids := '{}';
    for n in v_wave .. least(v_wave + wave - 1, last) loop
      perform set_config('kata.tenant', bench.tenant_of(n, contexts), false);
      v_ids := v_ids || bench.create_context(n);
    end loop;
    for v_step in 0 .. 99 loop
      v_written := 0;
      for n in v_wave .. least(v_wave + wave - 1, last) loop
        v_messages := bench.next_step(n, v_step);
        continue when v_messages is null;
        v_written := v_written + 1;
        perform set_config('kata.tenant', bench.tenant_of(n, contexts), false);
        perform from kata.append(
          v_ids[n - v_wave + 1], v_messages, idempotency_key => case when n % 10 = 1 and v_step = 0 then 'turn' end);
      end loop;
      exit when v_written = 0;
    end loop;
    for n in v_wave .. least(v_wave + wave - 1, last) loop
      perform set_config('kata.tenant', bench.tenant_of(n, contexts), false);
      perform bench.finish(n, v_ids[n - v_wave + 1]);
    end loop;
    perform bench.copy(v_ids, 13);
    commit;
  end loop;
end
$$;
