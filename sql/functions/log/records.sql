-- Records of a line, oldest first. One statement per way to filter: each is an index range scan per segment, which ends with the page.
-- plans: reader

create or replace function kata.records(
  context_id uuid, out version bigint, inout kind text default null, after bigint default null, max_rows integer default 100,
  at bigint default null, out data jsonb, out external_id text, out created_at timestamptz
) returns setof record
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_context record;
  v_low bigint := greatest(coalesce(after, 0), 0);
begin
  v_context := kata_data.open_context(context_id, at);
  perform kata_data.check_max_rows(max_rows);
  if v_low >= v_context.at then
    return;
  end if;
  return query
  select r.version, r.kind, r.data, r.external_id, c.created_at
  from kata_data.line_records(
    records.context_id, records.kind,
    int8multirange(int8range(v_low, v_context.at, '(]'))
      - (kata_data.view_of(records.context_id, v_context.at, v_context.view_version)).rewound, max_rows) r
  join kata_data.view_change c on c.segment_id = r.segment_id and c.version = r.version
  order by r.version;
end
$$;
comment on function kata.records(uuid, text, bigint, integer, bigint) is
'Lists the records of a context, oldest first, inherited ones included.

Those that are rewound are left out.

context_id: the context. kind: only records of this kind; null for all.
after: the last version of the previous page; null for the first. max_rows: 1 to 1,000. at: as of this version; null for now.

Returns rows: version, kind, data (null after an erasure), external_id, created_at.
Errors: KC001, KC002, KC006, KC017. Cost: O(log n + rows + rewound ranges + fork depth).';

create or replace function kata_data.line_records(context_id uuid, kind text, versions int8multirange, max_rows integer)
returns setof kata_data.record
language plpgsql stable rows 100
as $$
begin
  if kind is null then
    return query
    select r.*
    from (select r.range from unnest(versions) r(range) order by r.range offset 0) v
    cross join lateral (
      select s.* from kata_data.segments(line_records.context_id, lower(v.range), upper(v.range) - 1) s order by s.first_version offset 0
    ) s
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
    from (select r.range from unnest(versions) r(range) order by r.range offset 0) v
    cross join lateral (
      select s.* from kata_data.segments(line_records.context_id, lower(v.range), upper(v.range) - 1) s order by s.first_version offset 0
    ) s
    cross join lateral (
      select r.*
      from kata_data.record r
      where r.segment_id = s.segment_id
        and r.kind = line_records.kind
        and r.version between s.first_version and s.last_version
      order by r.version
      limit max_rows
    ) r
    limit max_rows;
  end if;
end
$$;
comment on function kata_data.line_records(uuid, text, int8multirange, integer) is
'The lowest records of a path at some versions, of one kind or, with null, of all.

Cost: O(log n + rows + ranges × fork depth).';
