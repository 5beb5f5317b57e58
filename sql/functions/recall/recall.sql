-- "What do I need to know?": the messages around what a query says, best first. Scores spread to neighbors, because the answer to a question
-- seldom repeats its words.
-- plans: recall

create or replace function kata.recall(
  context_id uuid,
  query text default null,
  embedding real[] default null,
  model text default null,
  max_rows integer default 10,
  at bigint default null,
  max_tokens integer default null
)
returns table (
  version bigint, role text, content text, token_count integer, score double precision, text_rank bigint, vector_rank bigint,
  compacted_into bigint, name text, created_at timestamptz, group_version bigint, kind text, preview text
)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off set jit = off
as $$
declare
  v_context record;
  v_view kata_data.view;
  v_model_id integer;
  v_found kata_data.recalled[];
  v_versions bigint[];
  v_amended kata_data.message[];
begin
  v_context := kata_data.open_context(context_id, at);
  perform kata_data.check_max_rows(max_rows);
  v_model_id := kata_data.model_of_query(context_id, query, embedding, model);
  perform kata_data.check_max_tokens(max_tokens);
  v_view := kata_data.view_of(context_id, v_context.at, v_context.view_version);
  v_found := array(
    select f::kata_data.recalled
    from kata_data.hybrid_messages(
      recall.context_id, v_context.at, v_context.view_version, kata_data.hidden(v_view), query, v_model_id, embedding,
      case when max_tokens is null then max_rows else 1000 end) f);
  v_amended := array(select m from kata_data.amended_messages(context_id, v_context.at) m);
  v_versions := array(select r.version from unnest(v_found) with ordinality r order by r.ordinality);
  return query
  select m.version, m.role, m.content, m.token_count, r.score, r.text_rank, r.vector_rank, kata_data.covering_summary(v_view, r.version),
    m.name, m.created_at, m.group_version, 'message', m.preview
  from unnest(v_found) with ordinality r
  join kata_data.rows_that_fit(recall.context_id, v_versions, v_context.at, v_view.rewound, max_tokens) f on f.version = r.version
  cross join lateral kata_data.segments(recall.context_id, r.version, r.version) s
  cross join lateral (
    select (m.shown).version, (m.shown).role, (m.shown).content, (m.shown).token_count, (m.shown).name, (m.shown).created_at,
      (m.shown).group_version, kata_data.preview((m.shown).content, (m.shown).tool_calls, (m.shown).parts) as preview
    from (
      select kata_data.in_words_of(m, v_amended) as shown
      from kata_data.message m
      where m.segment_id = s.segment_id
        and m.version = r.version
      offset 0
    ) m
    offset 0
  ) m
  order by r.ordinality
  limit max_rows;
end
$$;
comment on function kata.recall(uuid, text, real[], text, integer, bigint, integer) is
'Finds the messages of a context that help to answer a query, best first, their neighbors included.

A message that holds terms of the query lends part of its score to those around it, so an answer is found by the words of its question.
Covered, deleted and erased messages and what is not indexed yet: as kata.search.

context_id: the context.
query: a question or its words; at most 65,536 characters, and of more than 64 terms the 64 rarest. Null where there is an embedding.
embedding, model: of the query, by a model whose embeddings kata.put_embeddings has stored; null for words alone. The embedding re-scores
  the best 200 by words, with weight 0.4, and brings other messages where there are fewer.
max_rows: 1 to 1,000. at: as of this version; null for now.
max_tokens: takes rows by score as long as their groups fit together, and passes over those that do not; null for no limit.

Returns rows by score, then newest first: version, role, content, token_count, score (1 for the best), text_rank and vector_rank (place by words and
by embedding, null for none), compacted_into (the summary that covers it, or null), name, created_at, group_version (the message whose call
it answers, else itself), kind (message), preview (100 characters of its text, its calls or its parts).
Errors: KC001, KC002, KC006, KC017 max_rows or max_tokens is out of range, query is empty or too long, model is unknown, or
embedding has other dimensions or no direction.
Cost: O(messages that hold a term + erasures and view changes of the path), and the length of what is not indexed yet; with an embedding
and few words that hit, O(embeddings of the path).';
