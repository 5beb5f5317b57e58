-- Reads of summaries along a path.

create or replace function kata_data.summary_of(context_id uuid, version bigint) returns setof kata_data.summary
language sql stable rows 1
as $$
  select y.*
  from kata_data.segments(summary_of.context_id, summary_of.version, summary_of.version) s
  cross join lateral (
    select y.*
    from kata_data.summary y
    where y.segment_id = s.segment_id
      and y.version = s.first_version
    offset 0
  ) y
$$;
comment on function kata_data.summary_of(uuid, bigint) is
'The summary of a path that took a version; no row where none did.

Cost: O(log n + fork depth).';

create or replace function kata_data.path_summaries(context_id uuid, versions int8multirange) returns setof kata_data.summary
language sql stable rows 1
as $$
  select y.*
  from unnest(versions) r(range)
  cross join lateral (
    select s.segment_id, s.first_version, s.last_version
    from kata_data.segments(path_summaries.context_id, lower(r.range), upper(r.range) - 1) s
    offset 0
  ) s
  cross join lateral (
    select y.*
    from kata_data.summary y
    where y.segment_id = s.segment_id
      and y.version between s.first_version and s.last_version
    offset 0
  ) y
$$;
comment on function kata_data.path_summaries(uuid, int8multirange) is
'The summaries of a context''s path that took some versions, in the view or not, in no order.';
