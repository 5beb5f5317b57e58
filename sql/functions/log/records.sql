-- Records of a path, oldest first. One statement per way to filter: each is an index range scan per segment, which ends with the page.
-- plans: reader

create or replace function kata.records(
  context_id uuid, out version bigint, inout kind text default null, after bigint default null, max_rows integer default 100,
  at bigint default null, out data jsonb, out external_id text, out created_at timestamptz
) returns setof record
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_at bigint;
  v_low bigint := greatest(coalesce(after, 0), 0);
begin
  v_at := (kata_data.open_context(context_id, at)).at;
  perform kata_data.check_max_rows(max_rows);
  if v_low >= v_at then
    return;
  end if;
  return query
  select r.version, r.kind, r.data, r.external_id, c.created_at
  from kata_data.path_records(records.context_id, records.kind, v_low + 1, v_at, max_rows) r
  join kata_data.view_change c on c.segment_id = r.segment_id and c.version = r.version
  order by r.version;
end
$$;
comment on function kata.records(uuid, text, bigint, integer, bigint) is
'Lists the records of a context, oldest first, inherited ones included.

context_id: the context. kind: only records of this kind; null for all.
after: the last version of the previous page; null for the first. max_rows: 1 to 1,000. at: as of this version; null for now.

Returns rows: version, kind, data (null after an erasure), external_id, created_at.
Errors: KC001, KC002, KC006, KC017. Cost: O(log n + rows + fork depth).';

create or replace function kata_data.path_records(context_id uuid, kind text, low bigint, high bigint, max_rows integer)
returns setof kata_data.record
language plpgsql stable rows 100
as $$
begin
  if kind is null then
    return query
    select r.*
    from (select s.* from kata_data.segments(path_records.context_id, low, high) s order by s.first_version offset 0) s
    cross join lateral (
      select r.*
      from kata_data.record r
      where r.segment_id = s.segment_id
        and r.version between s.first_version and s.last_version
      order by r.version
      limit max_rows
    ) r
    limit max_rows;
  else
    return query
    select r.*
    from (select s.* from kata_data.segments(path_records.context_id, low, high) s order by s.first_version offset 0) s
    cross join lateral (
      select r.*
      from kata_data.record r
      where r.segment_id = s.segment_id
        and r.kind = path_records.kind
        and r.version between s.first_version and s.last_version
      order by r.version
      limit max_rows
    ) r
    limit max_rows;
  end if;
end
$$;
comment on function kata_data.path_records(uuid, text, bigint, bigint, integer) is
'The lowest records of a path between two versions, of one kind or, with null, of all.

Cost: O(log n + rows + fork depth).';
