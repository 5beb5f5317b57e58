-- "Where does it say?": the messages that hold a term of the query, best first. Nothing is written and no lock taken, so it runs on a standby.
-- plans: recall

create or replace function kata.search(context_id uuid, query text, max_rows integer default 20, at bigint default null)
returns table (
  version bigint, role text, rank double precision, headline text, token_count integer, compacted_into bigint, name text,
  created_at timestamptz
)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off set jit = off
as $$
declare
  v_context record;
  v_config text;
  v_terms text[];
  v_phrases text[];
  v_view kata_data.view;
  v_changes bigint[];
  v_silent int8multirange;
  v_amended kata_data.message[];
begin
  v_context := kata_data.open_context(context_id, at);
  perform kata_data.check_max_rows(max_rows);
  perform kata_data.check_query(query);
  v_config := kata_data.search_config(context_id);
  v_terms := kata_data.query_terms(context_id, v_context.at, v_config, query);
  v_phrases := array(select p.match[1] from regexp_matches(query, E'"([^"]*[^"\\s][^"]*)"' collate kata_data.c_utf8, 'g') p(match));
  v_view := kata_data.view_of(context_id, v_context.at, v_context.view_version);
  v_changes := kata_data.change_versions(context_id, v_context.at, v_context.view_version);
  v_silent := kata_data.silent_versions(context_id, v_context.at, kata_data.hidden(v_view));
  v_amended := array(select m from kata_data.amended_messages(context_id, v_context.at) m);
  return query
  select r.version, m.role, r.score / 25500000::float8, kata_data.headline(m.body, v_terms[r.term]), m.token_count,
    kata_data.covering_summary(v_view, r.version), m.name, m.created_at
  from (
    select h.version, sum(h.score)::bigint as score, (min(array[h.rarity, h.term]))[2] as term
    from kata_data.scored_hits(search.context_id, v_context.at, v_config, v_terms, v_changes, v_silent) h
    group by h.version
    order by 2 desc, 1 desc
    -- Only quoted text may rule out a candidate later.
    limit case when v_phrases = '{}' then max_rows end
  ) r
  cross join lateral kata_data.segments(search.context_id, r.version, r.version) s
  cross join lateral (
    select (m.shown).role, (m.shown).token_count, (m.shown).name, (m.shown).created_at, kata_data.search_text(m.shown) as body
    from (
      select kata_data.in_words_of(m, v_amended) as shown
      from kata_data.message m
      where m.segment_id = s.segment_id
        and m.version = r.version
      offset 0
    ) m
    offset 0
  ) m
  where v_phrases = '{}' or not exists (select from unnest(v_phrases) p(phrase) where position(p.phrase in m.body) = 0)
  order by r.score desc, r.version desc
  limit max_rows;
end
$$;
comment on function kata.search(uuid, text, integer, bigint) is
'Finds the messages of a context that hold words of a query, best first: where something was said.

Covered messages are found with the summary that covers them; deleted, rewound and erased ones are not, nor are summaries. Every message is found from
the moment it is appended: what kata.index_search has not indexed yet is parsed by this call.

context_id: the context.
query: words, identifiers, paths; at most 65,536 characters, and of more than 64 terms the 64 rarest. "Quoted" text must occur as it is written.
max_rows: 1 to 1,000. at: as of this version; null for now.

Returns rows by rank, then newest first: version, role, rank (BM25 over the path as of the version), headline (160 characters around the
rarest term), token_count, compacted_into (the summary that covers it, or null), name, created_at.
Errors: KC001, KC002, KC006, KC017 max_rows is out of range, or query is empty or too long.
Cost: O(messages that hold a term + erasures and view changes of the path), and the length of what is not indexed yet.';
