-- Indexes what is new on a path. Nothing of it hangs on an append; readers are complete without it, it only makes them faster.
--
-- Locks: the marks of the segments, rows, by ascending segment; one that another session holds is passed over. No head: messages are
-- immutable, and a removal waits for the mark before it touches one.
-- plans: recall

create or replace function kata.index_search(context_id uuid, max_messages integer default null) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off set jit = off
as $$
declare
  v_at bigint;
  v_config text;
  v_left bigint := 0;
  v_budget bigint := coalesce(max_messages, 9223372036854775807);
  v_segment record;
  v_mark kata_data.search_mark;
  v_end bigint;
begin
  v_at := (kata_data.open_context(context_id)).at;
  if max_messages < 1 then
    raise exception using
      errcode = 'KC017',
      message = 'max_messages must be positive',
      detail = format('It is %s.', max_messages),
      hint = 'Pass how many messages to index at most, or null for all.';
  end if;
  v_config := kata_data.search_config(context_id);
  for v_segment in
    select s.segment_id, s.first_version, s.last_version, s.indexed_through
    from kata_data.indexed_segments(index_search.context_id, v_at, v_config) s
    where s.indexed_through < s.last_version
    order by s.segment_id
  loop
    v_mark := null;
    if v_budget > 0 then
      v_mark := kata_data.lock_mark(v_segment.segment_id);
    end if;
    if v_mark.segment_id is null then
      v_left := v_left + v_segment.last_version - v_segment.indexed_through;
      continue;
    end if;
    if v_mark.analyzer <> kata_data.search_analyzer(v_config) then
      delete from kata_data.posting p where p.segment_id = v_segment.segment_id;
      v_mark.indexed_through := v_segment.first_version - 1;
    end if;
    v_end := greatest(v_mark.indexed_through, least(v_segment.last_version, v_mark.indexed_through + least(v_budget, 1000000000000)));
    perform kata_data.index_segment(v_segment.segment_id, v_mark.indexed_through + 1, v_end, v_config);
    v_budget := v_budget - (v_end - v_mark.indexed_through);
    v_left := v_left + greatest(v_segment.last_version - v_end, 0);
    update kata_data.search_mark m
    set indexed_through = v_end, analyzer = kata_data.search_analyzer(v_config)
    where m.segment_id = v_segment.segment_id;
  end loop;
  return v_left;
end
$$;
comment on function kata.index_search(uuid, integer) is
'Indexes the messages of a context, inherited ones included, for kata.search and kata.recall.

Both find the same without it, but parse every message that is not indexed. A message is indexed once, for all forks that read it.

context_id: the context. max_messages: how many versions to index at most; null for all.

Returns how many versions are left: because of max_messages, or because another session is indexing them.
Errors: KC001, KC006, KC017 max_messages is not positive. Locks: the marks of the segments (rows of the index); appends and readers never
wait, nor do other indexers, except while a first mark is made; erasures and purges of these messages do. Cost: linear in the length of the messages.';
