-- The best messages for a query, and how many of them fit into some tokens.

create or replace function kata_data.best_messages(
  context_id uuid, at bigint, view_version bigint, deleted int8multirange, query text, max_rows integer
)
returns table (version bigint, score double precision)
language plpgsql stable rows 10
as $$
declare
  v_config text;
  v_terms text[];
  v_changes bigint[];
  v_before bigint[];
  v_silent int8multirange;
begin
  v_config := kata_data.search_config(context_id);
  v_terms := kata_data.query_terms(context_id, at, v_config, query);
  v_changes := kata_data.change_versions(context_id, at, view_version);
  v_before := array(select c.version - c.ordinality from unnest(v_changes) with ordinality c(version, ordinality));
  v_silent := kata_data.silent_versions(context_id, at, deleted);
  return query
  select s.version, s.score / max(s.score) over ()::float8
  from (
    select kata_data.version_at_place(p.place, v_before) as version, p.score
    from kata_data.spread_scores(best_messages.context_id, best_messages.at, v_config, v_terms, v_changes, v_silent) p
    offset 0
  ) s
  where not v_silent @> s.version
  order by s.score desc, s.version desc
  limit max_rows;
end
$$;
comment on function kata_data.best_messages(uuid, bigint, bigint, int8multirange, text, integer) is
'The messages of a path as of a version with the highest scores for a query, best first; the best has score 1.

view_version: as the head has it. deleted: of the view.
Cost: O(messages that hold a term + erasures and view changes of the path), and the length of what is not indexed yet.';

create or replace function kata_data.rows_that_fit(
  context_id uuid, versions bigint[], at bigint, rewound int8multirange, max_tokens bigint
)
returns table (version bigint)
language plpgsql stable rows 10
as $$
declare
  v_left bigint := max_tokens;
  v_taken int8multirange := '{}'::int8multirange;
  v_group int8multirange;
  v_tokens bigint;
begin
  if max_tokens is null then
    return query select r.version from unnest(versions) r(version);
    return;
  end if;
  foreach version in array coalesce(versions, '{}') loop
    if not v_taken @> version then
      v_group := kata_data.whole_groups(context_id, int8multirange(int8range(version, version + 1)), at, rewound);
      select sum(m.token_count) into v_tokens
      from kata_data.words_at(rows_that_fit.context_id, at, v_group) m;
      continue when v_tokens > v_left;
      v_left := v_left - v_tokens;
      v_taken := v_taken + v_group;
    end if;
    return next;
  end loop;
end
$$;
comment on function kata_data.rows_that_fit(uuid, bigint[], bigint, int8multirange, bigint) is
'Those of some messages whose groups fit into max_tokens together, taken in their order; all where max_tokens is null.

rewound: of the view.';
