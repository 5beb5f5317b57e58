-- The line of a path: what leads to a version. Going back from the newest entry, a rewind in force leads on at the version that it goes to,
-- and what it passes over is rewound. The view holds the versions that are rewound; those of the rewinds are among them, so that rewinds
-- in a row leave one range.

create or replace function kata_data.rewinds(context_id uuid, rewound int8multirange, low bigint, high bigint)
returns table (version bigint, rewound_to bigint)
language plpgsql stable rows 10
as $$
declare
  v_whole int8range;
begin
  for v_whole in
    select r.range
    from unnest(rewinds.rewound) r(range)
    where r.range && int8range(low, high, '[]')
  loop
    -- A range ends with the rewind that was made last, and one that goes to another rewind continues there.
    version := upper(v_whole) - 1;
    loop
      rewound_to := (select c.rewound_to from kata_data.path_changes(rewinds.context_id, rewinds.version, rewinds.version) c);
      exit when rewound_to is null or version < low;
      if rewound_to < high then
        return next;
      end if;
      exit when not v_whole @> rewound_to;
      version := rewound_to;
    end loop;
  end loop;
end
$$;
comment on function kata_data.rewinds(uuid, int8multirange, bigint, bigint) is
'The rewinds in force that took versions between two off the line, newest first within a range.

rewound: of the view. Each took what is above rewound_to and below its own version.
Cost: O(log n) per rewind from the end of the range on.';

create or replace function kata_data.rewound_by(context_id uuid, rewound int8multirange, version bigint) returns bigint
language sql stable
as $$
  select case when rewound @> version then (
    select r.version
    from kata_data.rewinds(rewound_by.context_id, rewound, rewound_by.version, rewound_by.version) r
    where rewound_by.version > r.rewound_to and rewound_by.version < r.version) end
$$;
comment on function kata_data.rewound_by(uuid, int8multirange, bigint) is
'The rewind that took a version off the line; null for an entry of the line, a rewind in force among them.';

create or replace function kata_data.refuse_rewound(context_id uuid, rewound int8multirange, versions bigint[], key text) returns void
language plpgsql stable
as $$
declare
  v_version bigint;
  v_rewind bigint;
begin
  foreach v_version in array versions loop
    v_rewind := kata_data.rewound_by(context_id, rewound, v_version);
    if v_rewind is not null then
      raise exception using
        errcode = 'KC021',
        message = format('version %s, which idempotency key "%s" led to, is rewound', v_version, key),
        detail = format('The rewind at version %s took it back.', v_rewind),
        hint = 'Use a new key to do the work again; kata.key_result returns what the key has done.';
    end if;
  end loop;
end
$$;
comment on function kata_data.refuse_rewound(uuid, int8multirange, bigint[], text) is
'Refuses a retry whose first result is not on the line any more: nothing would show it. KC021.';
