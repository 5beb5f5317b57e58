-- The best messages by words and meaning. The score of the words ranks first what the embeddings then weigh: they re-score its candidates,
-- and bring their own only where it has few. A model that is weaker than the words so costs little, and one that is better gains.
--
-- Source: the weights and the floor of 0.1 were measured, see docs/recall.md. Sums of ranks (RRF) lost against the words alone.

create or replace function kata_data.hybrid_messages(
  context_id uuid, at bigint, view_version bigint, deleted int8multirange, query text, model_id integer, embedding real[], max_rows integer
)
returns table (version bigint, score double precision, text_rank bigint, vector_rank bigint)
language plpgsql stable rows 10
as $$
declare
  v_candidates integer := greatest(max_rows, 200);
  v_versions bigint[] := '{}'::bigint[];
  v_scores double precision[] := '{}'::double precision[];
  v_floor double precision := case when query is null then -1 else 0.1 end;
  v_near bigint[] := '{}'::bigint[];
  v_cosines double precision[] := '{}'::double precision[];
  v_weight double precision := case when model_id is null then 0 when query is null then 1 else 0.4 end;
begin
  if query is not null then
    select coalesce(array_agg(b.version order by b.score desc, b.version desc), '{}'),
      coalesce(array_agg(b.score order by b.score desc, b.version desc), '{}')
    into v_versions, v_scores
    from kata_data.best_messages(
      hybrid_messages.context_id, hybrid_messages.at, view_version, deleted, query,
      case when model_id is null then max_rows else v_candidates end) b;
  end if;
  if model_id is not null then
    select coalesce(array_agg(s.version), '{}'), coalesce(array_agg(s.similarity), '{}')
    into v_near, v_cosines
    from kata_data.near_messages(
      hybrid_messages.context_id, hybrid_messages.at, deleted, hybrid_messages.model_id, embedding, v_versions, max_rows, v_candidates) s;
  end if;
  return query
  with lexical as (
    select l.version, l.score, l.ordinality as rank
    from unnest(v_versions, v_scores) with ordinality l(version, score, ordinality)
  ),
  near as (
    select n.version, row_number() over (order by n.cosine desc, n.version desc) as rank,
      greatest(n.cosine - v_floor, 0) / greatest(max(n.cosine - v_floor) over (), 0.000001::float8) as score
    from unnest(v_near, v_cosines) n(version, cosine)
  ),
  fused as (
    select coalesce(l.version, n.version) as version, l.rank as text_rank, n.rank as vector_rank,
      (1 - v_weight) * coalesce(l.score, 0) + v_weight * coalesce(n.score, 0) as score
    from lexical l
    full join near n on n.version = l.version
  )
  select f.version, f.score / greatest(max(f.score) over (), 0.000001::float8), f.text_rank, f.vector_rank
  from fused f
  order by f.score desc, f.version desc
  limit max_rows;
end
$$;
comment on function kata_data.hybrid_messages(uuid, bigint, bigint, int8multirange, text, integer, real[], integer) is
'The best messages of a path as of a version for a query, an embedding of it, or both; the best has score 1.

model_id, embedding: null for words alone. text_rank, vector_rank: the place of a row by words and by embeddings, null where it has none.';

create or replace function kata_data.near_messages(
  context_id uuid, at bigint, deleted int8multirange, model_id integer, embedding real[], candidates bigint[], wanted integer, enough integer
)
returns table (version bigint, similarity double precision)
language plpgsql stable rows 200
as $$
declare
  v_candidates int8multirange;
  v_others int8multirange;
  v_words kata_data.amended_embedding[];
  v_versions bigint[] := '{}'::bigint[];
  v_similarities double precision[];
begin
  v_words := kata_data.amended_embeddings(context_id, at);
  v_candidates := (select coalesce(range_agg(int8range(c.version, c.version, '[]')), '{}') from unnest(candidates) c(version));
  return query
  select kata_data.embedded_message(v_words, s.version), s.similarity
  from kata_data.similarities(
    near_messages.context_id, near_messages.model_id, embedding, kata_data.embedded_versions(v_words, v_candidates)) s;
  if cardinality(candidates) >= enough or (at > 20000 and cardinality(candidates) >= wanted) then
    return;
  end if;
  v_others := kata_data.embedded_versions(
    v_words, int8multirange(int8range(1, at, '[]')) - kata_data.silent_versions(context_id, at, deleted) - v_candidates);
  if at > 20000 then
    select coalesce(array_agg(s.version), '{}'), array_agg(s.similarity) into v_versions, v_similarities
    from kata_data.near_by_index(near_messages.context_id, near_messages.model_id, embedding, v_others, enough) s;
  end if;
  -- An index that is asked for a few among many finds too few, or none: then all are looked at.
  if cardinality(v_versions) >= wanted then
    return query
    select kata_data.embedded_message(v_words, n.version), n.similarity from unnest(v_versions, v_similarities) n(version, similarity);
  else
    return query
    select kata_data.embedded_message(v_words, s.version), s.similarity
    from kata_data.similarities(near_messages.context_id, near_messages.model_id, embedding, v_others, enough) s;
  end if;
end
$$;
comment on function kata_data.near_messages(uuid, bigint, int8multirange, integer, real[], bigint[], integer, integer) is
'The similarities of candidates that have an embedding, and of the nearest other messages where there are fewer candidates than enough.

wanted: of a path of more than 20,000 versions others are looked for only where there are fewer candidates than this.';

create or replace function kata_data.amended_embeddings(context_id uuid, at bigint) returns kata_data.amended_embedding[]
language plpgsql stable
as $$
declare
  v_view kata_data.view;
  v_undone bigint[] := '{}'::bigint[];
begin
  v_view := kata_data.view_at(context_id, at);
  if v_view.amended_from is not null then
    v_undone := kata_data.undone_versions(context_id, v_view.amended_from, at, v_view.rewound);
  end if;
  return array(
    select row(
      (a.message).version, a.version, v_view.amended_from is not null and a.is_on_line
        and a.change_id = max(a.change_id) filter (where a.is_on_line) over (partition by (a.message).version))::kata_data.amended_embedding
    from (
      -- Older ones are undone or rewound, and their undos are not read.
      select a.version, a.change_id, a.message,
        a.version >= v_view.amended_from and a.version <> all (v_undone) and not v_view.rewound @> a.version as is_on_line
      from kata_data.amended_words(amended_embeddings.context_id, 1, at) a
    ) a);
end
$$;
comment on function kata_data.amended_embeddings(uuid, bigint) is
'The amendments of messages of a path as of a version, and which are in force. Cost: O(amendments + undos since the oldest in force).';

create or replace function kata_data.embedded_versions(words kata_data.amended_embedding[], versions int8multirange) returns int8multirange
language sql immutable
as $$
  -- The embedding of an amended message is of words that are not in force.
  select versions
    - coalesce((select range_agg(int8range(w.amendment, w.amendment, '[]')) from unnest(words) w), '{}')
    - coalesce((select range_agg(int8range(w.version, w.version, '[]')) from unnest(words) w where w.is_in_force), '{}')
    + coalesce((
      select range_agg(int8range(w.amendment, w.amendment, '[]')) from unnest(words) w where w.is_in_force and versions @> w.version), '{}')
$$;
comment on function kata_data.embedded_versions(kata_data.amended_embedding[], int8multirange) is
'The versions that have the embeddings of messages in the words in force: their own, or those of amendments.';

create or replace function kata_data.embedded_message(words kata_data.amended_embedding[], version bigint) returns bigint
language sql immutable
as $$
  select case when words = '{}' then version else coalesce((
    select w.version from unnest(words) w where w.amendment = embedded_message.version), version) end
$$;
comment on function kata_data.embedded_message(kata_data.amended_embedding[], bigint) is 'The message that an embedding is of, by the version that has it.';
