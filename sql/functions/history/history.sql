-- Entries, newest first. The cursor is a version, so pages stay exact while messages are appended.
-- plans: reader

create or replace function kata.history(context_id uuid, before bigint default null, max_rows integer default 50)
returns table (
  version bigint, kind text, role text, preview text, token_count integer, view_tokens bigint, checkpoints text[], created_at timestamptz,
  rewound_by bigint
)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_context record;
  v_newest bigint;
  v_rewound int8multirange;
  v_high bigint;
  v_low bigint;
begin
  v_context := kata_data.open_context(context_id);
  v_newest := v_context.version;
  perform kata_data.check_max_rows(max_rows);
  v_high := least(greatest(coalesce(before, v_newest + 1), 1) - 1, v_newest);
  v_low := greatest(v_high - max_rows + 1, 1);
  v_rewound := (kata_data.view_of(context_id, v_newest, v_context.view_version)).rewound;
  return query
  with named as materialized (
    select k.version, array_agg(k.name order by k.created_at, k.name collate "C") as names
    from kata_data.visible_checkpoints(history.context_id, v_low, v_high) k
    group by k.version
  ),
  rewind as materialized (
    select r.version, r.rewound_to from kata_data.rewinds(history.context_id, v_rewound, v_low, v_high) r
  )
  select e.version, e.kind, e.role, e.preview, e.token_count, e.view_tokens, coalesce(n.names, '{}'), e.created_at,
    case when v_rewound @> e.version then (
      select r.version from rewind r where e.version > r.rewound_to and e.version < r.version) end
  from kata_data.entries(history.context_id, v_low, v_high) e
  left join named n on n.version = e.version
  order by e.version desc;
end
$$;
comment on function kata.history(uuid, bigint, integer) is
'A page of the entries of a context, newest first, inherited ones included.

context_id: the context. before: the last version of the previous page; null for the newest. max_rows: 1 to 1,000.

Returns rows: version, kind (message, compaction, elision, deletion, pin, unpin, undo, rewind, record, amendment, tools), role, preview (100 characters), token_count (of
the entry), view_tokens (of what a model would see as of the entry), checkpoints (the names of the version), created_at,
rewound_by (the rewind that hides the entry, or null).
Errors: KC001, KC006, KC017.
Cost: O(log n + rows + checkpoints of the page + fork depth + later rewinds that adjoin those of the page).';
