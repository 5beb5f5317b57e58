-- The artifacts of a path as of a version. The index holds those up to the mark of a segment; the messages above the mark are parsed
-- on the fly. The running state of an artifact is that of the path: where something is rewound or amended, the mentions that count are added
-- up.

create or replace function kata_data.path_artifacts(
  context_id uuid, at bigint, max_unparsed bigint, view kata_data.view, view_at bigint
)
returns table (
  kind text, ref text, detail jsonb, first_version bigint, last_version bigint, mentions bigint, changed_version bigint
)
language plpgsql stable rows 100
as $$
declare
  v_said record;
begin
  v_said := kata_data.said_versions(context_id, at, view, view_at);
  return query
  with segment as materialized (
    select s.segment_id, s.last_version, v_said.silent && int8range(s.first_version, s.last_version, '[]') as is_cut, k.parsed_through,
      greatest(s.last_version - k.parsed_through, 0) as unparsed,
      sum(greatest(s.last_version - k.parsed_through, 0)) over (order by s.first_version desc) as unparsed_from_here
    from kata_data.segments(path_artifacts.context_id, 1, v_said.through) s
    left join kata_data.artifact_mark m on m.segment_id = s.segment_id
    cross join lateral coalesce(m.parsed_through, s.first_version - 1) k(parsed_through)
  ),
  part as (
    select i.kind, i.ref, i.first_version, i.last_version, i.mentions, i.detail_version, i.detail, false as is_added
    from segment s
    cross join lateral kata_data.indexed_artifacts(s.segment_id, s.last_version) i
    where not s.is_cut
    union all
    select i.kind, i.ref, i.first_version, i.last_version, i.mentions, i.detail_version, i.detail, false
    from segment s
    cross join lateral kata_data.indexed_on_line(s.segment_id, s.last_version, v_said.silent) i
    where s.is_cut
    union all
    select p.kind, p.ref, p.version, p.version, p.mentions, case when p.detail is not null then p.version end, p.detail, false
    from segment s
    cross join lateral kata_data.parse_artifacts(
      s.segment_id,
      s.last_version + 1 - least(s.unparsed, max_unparsed - (s.unparsed_from_here - s.unparsed))::bigint,
      s.last_version) p
    where s.unparsed > 0
      and s.unparsed_from_here - s.unparsed < max_unparsed
      and not v_said.silent @> p.version
    union all
    -- A context may add to versions that it inherits: its own segment need not have begun at `at`.
    select d.kind, d.ref, d.version, d.version, 1, d.version, d.detail, true
    from kata_data.lineage l
    cross join lateral (
      select d.kind, d.ref, d.version, d.detail
      from kata_data.added_artifact d
      where d.segment_id = l.segment_id
        and d.version <= least(l.last_version, path_artifacts.at)
      offset 0
    ) d
    where l.context_id = path_artifacts.context_id
      and not (path_artifacts.view).rewound @> d.version
  )
  select p.kind, p.ref,
    kata_data.artifact_detail(
      p.kind,
      (array_agg(p.detail order by kata_data.weight_of(p.detail_version, p.detail) desc) filter (where p.detail is not null and not p.is_added))[1],
      (array_agg(p.detail order by p.detail_version desc) filter (where p.detail is not null and p.is_added))[1],
      bool_or(p.detail ->> 'access' = 'modified')),
    min(p.first_version), max(p.last_version), sum(p.mentions)::bigint,
    max(p.detail_version) filter (where p.detail ->> 'access' = 'modified')
  from part p
  group by p.kind, p.ref;
end
$$;
comment on function kata_data.path_artifacts(uuid, bigint, bigint, kata_data.view, bigint) is
'The artifacts of a context''s line as of a version, in no order.

context_id: the context. at: the version. max_unparsed: how many of the newest versions that are not parsed yet may be parsed on the fly.
view, view_at: what is rewound, and whose words are in force, as of a version not before at.

changed_version: the last version that changed a file; null for other artifacts.

Cost: O(log n) per artifact and segment, and the length of what is parsed on the fly; of a segment of which something is rewound or amended O(mentions).';

create or replace function kata_data.said_versions(
  context_id uuid, up_to bigint, view kata_data.view, view_at bigint, out through bigint, out silent int8multirange
)
language plpgsql stable
as $$
declare
  v_undone bigint[] := '{}'::bigint[];
  v_late int8multirange;
begin
  through := up_to;
  silent := view.rewound;
  if view.version = 0 then
    return;
  end if;
  if view.amended_from is not null then
    v_undone := kata_data.undone_versions(context_id, view.amended_from, view_at, view.rewound);
  end if;
  -- Amendments that are undone have words, too: all are read, those before the oldest in force as undone.
  with amendment as materialized (
    select c.version, lower(c.versions) as target,
      c.version = max(c.version) filter (where c.version >= view.amended_from and c.version <> all (v_undone)) over (partition by c.versions) as in_force
    from kata_data.segments(said_versions.context_id, 1, view_at) s
    cross join lateral (
      select c.version, c.versions
      from kata_data.view_change c
      where c.segment_id = s.segment_id
        and c.version between s.first_version and s.last_version
        and c.kind = 'amendment'
      offset 0
    ) c
    where not view.rewound @> c.version
  )
  select silent + coalesce(range_agg(int8range(a.unsaid, a.unsaid, '[]')), '{}'::int8multirange),
    range_agg(int8range(a.version, a.version, '[]')) filter (where a.is_late), coalesce(max(a.version) filter (where a.is_late), up_to)
  into silent, v_late, through
  from (
    select a.version, case when a.in_force then a.target else a.version end as unsaid,
      a.in_force and a.version > up_to and a.target <= up_to as is_late
    from amendment a
  ) a;
  if through > up_to then
    silent := silent + (int8multirange(int8range(up_to, through, '(]')) - v_late);
  end if;
end
$$;
comment on function kata_data.said_versions(uuid, bigint, kata_data.view, bigint) is
'Which versions name the artifacts of the messages up to a version, in the words in force as of another: those up to through that are not silent.

view, view_at: as path_artifacts takes them.

silent: what is rewound, messages with other words in force, and amendments that are not in force. through: up_to, or the last amendment of
these messages. Cost: O(log n) per ancestor, O(amendments), and O(undos since the oldest amendment in force).';

create or replace function kata_data.indexed_on_line(segment_id uuid, up_to bigint, silent int8multirange)
returns table (kind text, ref text, first_version bigint, last_version bigint, mentions bigint, detail_version bigint, detail jsonb)
language sql stable rows 100
as $$
  select a.kind, a.ref, min(m.version), max(m.version), sum(m.mentions)::bigint,
    kata_data.weighed_version(max(kata_data.weight_of(m.version, m.detail))),
    (array_agg(m.detail order by kata_data.weight_of(m.version, m.detail) desc) filter (where m.detail is not null))[1]
  from (
    select a.artifact_id, a.kind, a.ref
    from kata_data.artifact a
    where a.segment_id = indexed_on_line.segment_id
      and a.first_version <= up_to
    offset 0
  ) a
  cross join lateral (
    select m.version, m.mentions, m.detail
    from kata_data.artifact_mention m
    where m.artifact_id = a.artifact_id
      and m.version <= up_to
    offset 0
  ) m
  where not silent @> m.version
  group by a.artifact_id, a.kind, a.ref
$$;
comment on function kata_data.indexed_on_line(uuid, bigint, int8multirange) is
'The artifacts of a segment as of a version, as far as it is parsed, by the messages that are not silent.';

create or replace function kata_data.indexed_artifacts(segment_id uuid, up_to bigint)
returns table (kind text, ref text, first_version bigint, last_version bigint, mentions bigint, detail_version bigint, detail jsonb)
language sql stable rows 100
as $$
  select i.kind, i.ref, i.first_version, i.last_version, i.mentions, i.detail_version, i.detail
  from (
    select a.kind, a.ref, a.first_version, a.last_version, a.mentions, a.detail_version, a.detail
    from kata_data.artifact a
    where a.segment_id = indexed_artifacts.segment_id
      and a.last_version <= up_to
    offset 0
  ) i
  union all
  select i.kind, i.ref, i.first_version, m.version, m.mentions_through, m.detail_version, d.detail
  from (
    select a.artifact_id, a.kind, a.ref, a.first_version
    from kata_data.artifact a
    where a.segment_id = indexed_artifacts.segment_id
      and a.last_version > up_to
      and a.first_version <= up_to
    offset 0
  ) i
  cross join lateral kata_data.last_mention(i.artifact_id, up_to) m
  left join lateral kata_data.detail_at(i.artifact_id, m.detail_version) d on true
$$;
comment on function kata_data.indexed_artifacts(uuid, bigint) is
'The artifacts of a segment as of a version, as far as it is parsed.

One look-up for each, and two more for those that later messages name, too.';

create or replace function kata_data.artifact_detail(kind text, found jsonb, added jsonb, is_modified boolean) returns jsonb
language sql immutable
as $$
  select case
    when kind = 'file' then '{"access": "mentioned"}'::jsonb || coalesce(found, '{}') || coalesce(added, '{}')
      || case when is_modified then kata_data.file_change() else '{}' end
    when found is null or added is null then coalesce(found, added)
    else found || added
  end
$$;
comment on function kata_data.artifact_detail(text, jsonb, jsonb, boolean) is
'The detail of an artifact as callers see it: the one found, and over it the one that was added.

A file that was modified once stays modified.';
